/** A wait for somebody's decision as what an MCP client asks its user, and the answer as the decision. */
import type { ElicitRequestFormParams } from "@modelcontextprotocol/server";
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts";

export interface Question {
  message: string;
  requestedSchema: ElicitRequestFormParams["requestedSchema"];
}

export type Decision = { approved: true; payload?: Json; comment?: string } | { approved: false; comment?: string };

/** What a task waits for somebody to decide, of its input; undefined when it waits for something else. */
export function approvalIn(input: Json): JsonObject | undefined {
  if (!isJsonObject(input)) return undefined;
  if (isJsonObject(input.approval)) return input.approval;
  return Array.isArray(input.any_of) ? input.any_of.map(approvalIn).find((one) => one !== undefined) : undefined;
}

export function questionOf(workflow: string, key: string, approval: JsonObject): Question {
  const { assignee, payload } = approval;
  const who = typeof assignee === "string" ? ` by ${assignee}` : "";
  const about = payload === undefined || payload === null ? "" : `\n${JSON.stringify(payload)}`;
  return {
    message: `Task ${key} of ${workflow} waits for a decision${who}. To decline is to reject it.${about}`,
    requestedSchema: approval.form === undefined ? plainSchema : (flatForm(approval.form) ?? textSchema(approval.form)),
  };
}

/** Without a form: yes or no, and why. */
const plainSchema: Question["requestedSchema"] = {
  type: "object",
  properties: {
    approve: { type: "boolean", title: "Approve", description: "No rejects it" },
    comment: { type: "string", title: "Comment", description: "Why, for the record" },
  },
  required: ["approve"],
};

/** A client can ask for flat objects only; of another form the answer is asked for as JSON. */
function textSchema(form: Json): Question["requestedSchema"] {
  const description = `JSON that fits ${JSON.stringify(form)}`;
  return {
    type: "object",
    properties: { answer: { type: "string", title: "Answer", description } },
    required: ["answer"],
  };
}

/** What a client may be told of a field, by its type. The server checks the answer against the whole form anyway. */
const fieldKeys: Record<string, string[]> = {
  string: ["title", "description", "default", "minLength", "maxLength", "format", "enum", "enumNames"],
  number: ["title", "description", "default", "minimum", "maximum"],
  integer: ["title", "description", "default", "minimum", "maximum"],
  boolean: ["title", "description", "default"],
};
const formats = ["email", "uri", "date", "date-time"];

function flatForm(form: Json): Question["requestedSchema"] | undefined {
  if (!isJsonObject(form) || form.type !== "object" || !isJsonObject(form.properties)) return undefined;
  const fields = Object.entries(form.properties).map(([name, field]) => [name, flatField(field)] as const);
  if (fields.length === 0 || fields.some(([, field]) => field === undefined)) return undefined;
  const names = fields.map(([name]) => name);
  const required = Array.isArray(form.required) ? form.required.map(String) : [];
  if (required.some((name) => !names.includes(name))) return undefined;
  return { type: "object", properties: Object.fromEntries(fields) as never, ...(required.length > 0 && { required }) };
}

function flatField(field: Json | undefined): JsonObject | undefined {
  if (!isJsonObject(field) || typeof field.type !== "string") return undefined;
  const keys = fieldKeys[field.type];
  if (!keys) return undefined;
  const known = Object.entries(field).filter(([key, value]) => {
    return keys.includes(key) && (key !== "format" || formats.includes(value as string));
  });
  return { type: field.type, ...Object.fromEntries(known) };
}

/**
 * The decision that an answer is; undefined for one that decides nothing: the user closed the question. Throws a text where
 * the answer cannot be read.
 */
export function decisionOf(approval: JsonObject, answer: unknown): Decision | undefined {
  if (!isJsonObject(answer as Json)) return undefined;
  const { action, content } = answer as JsonObject;
  if (action === "decline") return { approved: false };
  if (action !== "accept") return undefined;
  const given = isJsonObject(content as Json) ? (content as JsonObject) : {};
  if (approval.form === undefined) {
    const comment = typeof given.comment === "string" && given.comment !== "" ? { comment: given.comment } : {};
    return { approved: given.approve !== false, ...comment };
  }
  if (flatForm(approval.form)) return { approved: true, payload: given };
  return { approved: true, payload: parsed(given.answer) };
}

function parsed(text: Json | undefined): Json {
  try {
    return JSON.parse(String(text)) as Json;
  } catch {
    throw new SyntaxError(`The answer is no JSON: ${String(text).slice(0, 200)}`);
  }
}
