/** Getting a model to answer with JSON that fits a schema: asked in the protocol's way, checked here, asked again if need be. */
import type { ModelMessage } from "ai";
import { z } from "zod";
import { SkeinError } from "../../../core/errors.ts";
import { findJsonFlaw, type Json, type JsonObject } from "../../../core/json.ts";
import { compileSchema, type Validator } from "../../../core/schema.ts";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import type { LlmRequest } from "./input.ts";
import type { Answer, LlmSession, Question } from "./llm.ts";

const DEFAULT_REPAIRS = 2;
const MAX_REPAIRS = 5;
/** Told to the model, and in the error. */
const FLAWS_SHOWN = 5;

export const schemaField = z.record(z.string(), z.unknown()).describe("The JSON Schema (2020-12) of the answer");

export const objectFields = {
  response_format: z
    .enum(["json_schema", "prompt"])
    .default("json_schema")
    .describe("How the schema gets to the model: by the protocol's response_format, or in the prompt"),
  strict: z.boolean().default(false).describe("Have the endpoint enforce the schema, which must keep to what it can"),
  max_repairs: z
    .int()
    .min(0)
    .max(MAX_REPAIRS)
    .default(DEFAULT_REPAIRS)
    .describe("Times to ask again if it does not fit"),
};

export interface ObjectWish {
  schema: JsonObject;
  validator: Validator;
  by: "json_schema" | "prompt";
  maxRepairs: number;
  /** Called before asking again; may throw. */
  mayAskAgain?: () => void;
}

/** A wish for an object that fits `schema`. Throws LLM_SCHEMA_INVALID. */
export function wishFor(
  schema: Record<string, unknown>,
  options: { response_format: ObjectWish["by"]; max_repairs: number },
): ObjectWish {
  try {
    const validator = compileSchema(schema);
    return { schema: schema as JsonObject, validator, by: options.response_format, maxRepairs: options.max_repairs };
  } catch (cause) {
    if (!(cause instanceof SkeinError)) throw cause;
    const issues = cause.issues.slice(0, FLAWS_SHOWN).map(({ pointer, message }) => `/schema${pointer} ${message}`);
    throw new NonRetryableError(`The schema cannot be used: ${issues.join("; ")}`, {
      code: "LLM_SCHEMA_INVALID",
      cause,
    });
  }
}

/** The request with the schema in it. */
export function withSchema({ sdk }: LlmSession, request: LlmRequest, { schema, by }: ObjectWish): Question {
  if (by === "prompt")
    return { ...request, system: [request.system, instruction(schema)].filter(Boolean).join("\n\n") };
  const { responseFormat } = sdk.Output.object({ schema: sdk.jsonSchema(schema) });
  // The verdict on the text is ours: the SDK's own would not say what is wrong with it.
  return { ...request, output: { ...sdk.Output.text(), responseFormat } };
}

/**
 * What the model answers to `question` as JSON that fits the schema. `first` is its answer, if it has been asked already.
 * Throws LLM_OBJECT_INVALID when it does not comply, LLM_REFUSED, LLM_TRUNCATED, and what asking throws.
 */
export async function askForObject(
  session: LlmSession,
  question: Question,
  wish: ObjectWish,
  first?: Answer,
): Promise<{ object: Json; repairs: number }> {
  const messages: ModelMessage[] = [...question.messages, ...(first?.messages ?? [])];
  let answer = first ?? (await session.ask(question));
  for (let repairs = 0; ; repairs++) {
    const verdict = judge(answer.text, wish.validator);
    if ("object" in verdict) return { object: verdict.object, repairs };
    refuseHopeless(answer, session);
    if (repairs === wish.maxRepairs) {
      const tries = repairs === 0 ? "" : ` after ${repairs === 1 ? "one repair" : `${repairs} repairs`}`;
      throw new TaskError(`The answer of "${session.model}" does not fit the schema${tries}: ${verdict.flaw}`, {
        code: "LLM_OBJECT_INVALID",
      });
    }
    wish.mayAskAgain?.();
    // Endpoints refuse an empty message.
    if (!first || repairs > 0) messages.push({ role: "assistant", content: answer.text || "(nothing)" });
    messages.push({ role: "user", content: complaint(verdict.flaw, wish.schema) });
    answer = await session.ask({ ...question, messages });
  }
}

function refuseHopeless({ finishReason }: Answer, { model }: LlmSession): void {
  if (finishReason === "content-filter") {
    throw new NonRetryableError(`"${model}" refused to answer`, { code: "LLM_REFUSED" });
  }
  if (finishReason === "length") {
    throw new NonRetryableError(`The answer of "${model}" was cut off; raise max_output_tokens`, {
      code: "LLM_TRUNCATED",
    });
  }
}

function judge(text: string, validator: Validator): { object: Json } | { flaw: string } {
  const parsed = parse(text);
  if (parsed === undefined) return { flaw: "it is not JSON" };
  const unstorable = findJsonFlaw(parsed);
  if (unstorable) return { flaw: `${unstorable.pointer || "the value"} ${unstorable.reason}` };
  const problems = validator.findProblems(parsed);
  if (problems.length === 0) return { object: parsed };
  const shown = problems.slice(0, FLAWS_SHOWN).map(({ pointer, message }) => `${pointer || "the value"} ${message}`);
  return { flaw: shown.join("; ") };
}

/** Many models put JSON into a fence, or a sentence before it. */
function parse(text: string): Json | undefined {
  const fenced = /```(?:json)?\s*\n(.*?)\n\s*```/s.exec(text)?.[1];
  for (const candidate of [text, fenced]) {
    if (candidate === undefined) continue;
    try {
      return JSON.parse(candidate) as Json;
    } catch {}
  }
  return undefined;
}

export function instruction(schema: JsonObject): string {
  return `Answer with one JSON value that fits this JSON Schema, and with nothing else:\n${JSON.stringify(schema)}`;
}

function complaint(flaw: string, schema: JsonObject): string {
  return `Your answer does not fit: ${flaw}. ${instruction(schema)}`;
}
