/** What a member's message says, once all that can be wrong with its form has been ruled out. */
import { z } from "zod";
import { findJsonFlaw, isJsonObject, type Json, type JsonObject } from "../json.ts";
import { didYouMean } from "../near-miss.ts";
import { flawsOf } from "./flaws.ts";
import type { Protocol } from "./floor.ts";

/**
 * Whatever the conversation says to a member has to fit into a message of 64 KiB: what another has said, the topic, and a list of
 * names or options beside it.
 */
export const MAX_BODY_BYTES = 40 * 1_024;
const MAX_KEPT_BYTES = 4 * 1_024;

/** Of one message: sums of it stay finite. */
const MAX_USAGE = 1e12;

/** As it travels. */
export function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** Any JSON, but there. */
export const content = z
  .custom<Json>((value) => value !== undefined, { error: "is missing" })
  .meta({ description: "Any JSON value" });

/** What a type of message asks for, and nothing beside it. */
export function bodyOf(shape: z.ZodRawShape): z.ZodType<JsonObject> {
  return z.strictObject(shape) as unknown as z.ZodType<JsonObject>;
}

/** An answer in itself, which may say why. */
export const excuse = bodyOf({ reason: z.string().max(1_024).optional() });

export const memberName = z.string().min(1).max(128);

/** What every body may have beside what its type asks for. */
const envelope = z.object({
  from: z.string().optional(),
  sender: z.string().optional(),
  round: z.int().optional(),
  usage: z
    .strictObject({
      tokens: z.number().min(0).max(MAX_USAGE).optional(),
      cost: z.number().min(0).max(MAX_USAGE).optional(),
    })
    .optional()
    .meta({ description: "What it took to say this" }),
});
const envelopeKeys = Object.keys(envelope.shape);

export interface ReadMessage {
  body: JsonObject;
  bytes: number;
  /** Of which round it says that it is. */
  round: number | undefined;
  usage: { tokens: number; cost: number };
}

/** The message, or what is wrong with it as a sentence. */
export function readMessage(protocol: Protocol, type: string, body: Json): ReadMessage | string {
  const unstorable = findJsonFlaw(body);
  if (unstorable)
    return `The body${unstorable.pointer && ` at ${unstorable.pointer}`} ${unstorable.reason}; send it without.`;
  const bytes = jsonBytes(body);
  if (bytes > MAX_BODY_BYTES) {
    return `The body has ${bytes} bytes as JSON, and at most ${MAX_BODY_BYTES} are read; say it shorter, or send a reference.`;
  }
  const types = Object.keys(protocol.messages);
  const known = types.includes(type) ? protocol.messages[type] : undefined;
  if (!known) {
    const remedy = didYouMean(type, types) || ` It may be ${types.join(", ")}.`;
    return `The type ${quoted(type)} means nothing here.${remedy}`;
  }
  const given = body ?? {};
  if (!isJsonObject(given)) return "The body must be an object.";
  const around = envelope.safeParse(given);
  if (!around.success) return firstFlaw(around.error, []);
  const said = Object.fromEntries(Object.entries(given).filter(([key]) => !envelopeKeys.includes(key)));
  const parsed = known.body.safeParse(said);
  if (!parsed.success) return firstFlaw(parsed.error, [...keysOf(known.body), ...envelopeKeys]);
  const { round, usage } = around.data;
  return {
    body: usage ? { ...parsed.data, usage: usage as JsonObject } : parsed.data,
    bytes,
    round,
    usage: { tokens: usage?.tokens ?? 0, cost: usage?.cost ?? 0 },
  };
}

/** Who a body says that it is from, whatever else is wrong with it. */
export function claimsIn(body: Json): string[] {
  if (!isJsonObject(body)) return [];
  return [body.from, body.sender].filter((claim) => typeof claim === "string");
}

/** A body as a refusal keeps it: null where it cannot be stored, or is larger than is worth it. */
export function keepable(body: Json): Json {
  if (findJsonFlaw(body) || jsonBytes(body) > MAX_KEPT_BYTES) return null;
  return body;
}

/** A type as a refusal keeps it: it may be any text. */
export function keepableType(type: string): string {
  return type.slice(0, 64).toWellFormed().replaceAll("\u0000", "�");
}

function quoted(type: string): string {
  return JSON.stringify(keepableType(type));
}

function firstFlaw(error: z.ZodError, keys: readonly string[]): string {
  return flawsOf(error, "CONVERSATION_MESSAGE_INVALID", "The body", keys)[0]!.message;
}

function keysOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
