/** What the tools have in common: how one is described, checked, called and answered. */
import {
  type CallToolResult,
  type InputRequiredResult,
  inputRequired,
  type StandardSchemaWithJSON,
  type ToolAnnotations,
} from "@modelcontextprotocol/server";
import type { z } from "zod";
import { type Issue, SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import { type JsonObject, pointerTo } from "../core/json.ts";
import type { AgentClient, Client } from "../sdk/client.ts";
import { portableSchema } from "./portable-schema.ts";
import type { Question } from "./tasks/question.ts";
import { toolError } from "./tool-error.ts";

/** What a call has beside its arguments. */
export interface ToolContext {
  /** Aborts when the client cancels the call or goes. */
  signal: AbortSignal;
  /** A client that asks as whoever has the token; without one, as the caller. */
  as(token: string | undefined): Client;
  /**
   * Acts as an agent: the one whose token is given, or the caller, if its own token is an agent's. The id is needed for what
   * names the agent, as presence and bids do.
   */
  agent(token: string | undefined, id?: string): AgentClient;
  /** Whether the client can ask its user, with a form. */
  canAsk: boolean;
  /** What the user answered to the question of this key; undefined: nobody has asked yet. */
  answerTo(key: string): unknown;
  /** Says how far a long call has come, if the client wants to know. */
  progress(done: number, total: number, message: string): Promise<void>;
}

/** Thrown by a call that cannot go on before the user has answered: it is asked for, and the call is made again. */
export class InputNeeded extends Error {
  readonly key: string;
  readonly question: Question;

  constructor(key: string, question: Question) {
    super("The user has to answer first.");
    this.key = key;
    this.question = question;
  }
}

export interface ToolDefinition<Input extends z.ZodObject, Output extends z.ZodObject> {
  name: string;
  title: string;
  /** For the model that reads it: when to use the tool and what comes back. */
  description: string;
  annotations: ToolAnnotations;
  input: Input;
  /** What the REST API answers is cut down to this. */
  output: Output;
  call(client: Client, input: z.output<Input>, context: ToolContext): Promise<z.input<Output>>;
  /** The answer is a run that it has started: a client that knows tasks gets a task. */
  startsRun?: boolean;
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
  startsRun: boolean;
  /** Never rejects: what goes wrong is an answer, too, with its code and what to do about it. */
  perform(client: Client, input: unknown, context: ToolContext): Promise<CallToolResult | InputRequiredResult>;
}

/** Annotations of a tool that only looks. */
export const readOnly: ToolAnnotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
};

/** Annotations of a tool that changes something, but destroys nothing. */
export const changing: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
};

/** The same, of one that may be called again without changing more. */
export const settling: ToolAnnotations = { ...changing, idempotentHint: true };

/** Annotations of a tool that takes away what cannot be brought back. */
export const destroying: ToolAnnotations = { ...settling, destructiveHint: true };

export function defineTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  definition: ToolDefinition<Input, Output>,
): Tool {
  const { name, title, description, annotations, input, output, call, text, startsRun = false } = definition;
  return {
    name,
    startsRun,
    config: {
      title,
      description,
      annotations,
      inputSchema: advertised(input, "input"),
      outputSchema: advertised(output, "output"),
    },
    async perform(client, value, context) {
      try {
        const answer = output.parse(await call(client, checked(input, value), context));
        return resultOf(`The answer of ${name}`, answer as JsonObject, text(answer));
      } catch (error) {
        if (error instanceof InputNeeded) {
          return inputRequired({ inputRequests: { [error.key]: inputRequired.elicit(error.question) } });
        }
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
  const json = portableSchema(schema, io);
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

/** Throws OUTPUT_TOO_LARGE, naming `what` is too large. */
export function resultOf(what: string, answer: JsonObject, text: string): CallToolResult {
  const length = Math.max(text.length, JSON.stringify(answer).length);
  if (length > MAX_ANSWER_LENGTH) {
    const limit = `${MAX_ANSWER_LENGTH} is the most a tool answers with`;
    const remedy = "Ask for less (a smaller limit, another format), or read it through the REST API.";
    throw new SkeinError("OUTPUT_TOO_LARGE", `${what} has ${length} characters, ${limit}. ${remedy}`);
  }
  return { content: [{ type: "text", text }], structuredContent: answer };
}
