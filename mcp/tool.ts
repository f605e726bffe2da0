/** What the tools have in common: how one is described, checked, called and answered. */
import type { CallToolResult, StandardSchemaWithJSON, ToolAnnotations } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type Issue, SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import { type JsonObject, pointerTo } from "../core/json.ts";
import type { Client } from "../sdk/client.ts";
import { toolError } from "./tool-error.ts";

export interface ToolDefinition<Input extends z.ZodObject, Output extends z.ZodObject> {
  name: string;
  title: string;
  /** For the model that reads it: when to use the tool and what comes back. */
  description: string;
  annotations: ToolAnnotations;
  input: Input;
  /** What the REST API answers is cut down to this. */
  output: Output;
  call(client: Client, input: z.output<Input>, signal: AbortSignal): Promise<z.input<Output>>;
  /** All that matters of the answer in words: many clients show their model nothing else. */
  text(answer: z.output<Output>): string;
}

/** A tool in the form the SDK registers. */
export interface Tool {
  name: string;
  config: {
    title: string;
    description: string;
    annotations: ToolAnnotations;
    inputSchema: StandardSchemaWithJSON;
    outputSchema: StandardSchemaWithJSON;
  };
  /** Never rejects: what goes wrong is an answer, too, with its code and what to do about it. */
  perform(client: Client, input: unknown, signal: AbortSignal): Promise<CallToolResult>;
}

/** Annotations of a tool that only looks. */
export const readOnly: ToolAnnotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
};

export function defineTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  definition: ToolDefinition<Input, Output>,
): Tool {
  const { name, title, description, annotations, input, output, call, text } = definition;
  return {
    name,
    config: {
      title,
      description,
      annotations,
      inputSchema: advertised(input, "input"),
      outputSchema: advertised(output, "output"),
    },
    async perform(client, value, signal) {
      try {
        const answer = output.parse(await call(client, checked(input, value), signal));
        return resultOf(name, answer as JsonObject, text(answer));
      } catch (error) {
        return toolError(error);
      }
    },
  };
}

/**
 * A zod schema as the SDK takes it. Converted once, not with every request, and with `z.custom` allowed. It lets every
 * value pass: what is wrong with one is found in `perform`, so that the refusal has our code and pointers.
 */
function advertised(schema: z.ZodObject, io: "input" | "output"): StandardSchemaWithJSON {
  const json = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return {
    "~standard": {
      version: 1,
      vendor: "skein",
      validate: (value) => ({ value }),
      jsonSchema: { input: () => json, output: () => json },
    },
  };
}

function checked<Input extends z.ZodObject>(schema: Input, value: unknown): z.output<Input> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refusal("REQUEST_INVALID", parsed.error.issues.map(issueOf));
}

function issueOf({ path, message }: z.core.$ZodIssue): Issue {
  const pointer = path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), "");
  return { code: "REQUEST_INVALID", message: `${pointer || "The arguments"}: ${message}`, pointer };
}

/** Characters of an answer. Much more ends the connection in some clients, and no model can read it. */
const MAX_ANSWER_LENGTH = 1_000_000;

function resultOf(name: string, answer: JsonObject, text: string): CallToolResult {
  const length = Math.max(text.length, JSON.stringify(answer).length);
  if (length > MAX_ANSWER_LENGTH) {
    const limit = `${MAX_ANSWER_LENGTH} is the most a tool answers with`;
    const remedy = "Ask for less (a smaller limit, another format), or read it through the REST API.";
    throw new SkeinError("OUTPUT_TOO_LARGE", `The answer of ${name} has ${length} characters, ${limit}. ${remedy}`);
  }
  return { content: [{ type: "text", text }], structuredContent: answer };
}
