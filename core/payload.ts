/**
 * Large payloads: inputs, outputs, items, what signals bring and bodies of messages, of more than 128 KiB, stand apart, each
 * content once, and rows refer to them. What is in a row then is a value with holes. Expressions read holes lazily: one that
 * needs what is in a hole is evaluated again once it has been loaded, and one that only passes an output on passes the hole on.
 */
import { createHash } from "node:crypto";
import type { ExpressionContext } from "./expression.ts";
import { isJsonObject, type Json } from "./json.ts";

/** As JSON in UTF-8. Smaller values stand in their rows. */
export const LARGE_BYTES = 128 * 1024;
/** A UTF-16 code unit takes no more, be it as an escape. */
const MAX_BYTES_PER_UNIT = 6;

/** A hole: where it is in the value (RFC 6901, `""` is the whole of it), what belongs there (SHA-256 in hex), and its size in bytes. */
export type Ref = [pointer: string, hash: string, bytes: number];

export interface Payload {
  value: Json;
  /** In the order in which they are filled: a hole may be in what fills another. */
  refs?: Ref[] | null | undefined;
}

/** A content to be stored apart. */
export interface LargeContent {
  hash: string;
  bytes: Buffer;
}

/** The value as a content of its own, if it is large. Small values are looked at, but not written out. */
export function largeContent(value: Json): LargeContent | undefined {
  if (!mayBeLarge(value)) return undefined;
  const bytes = Buffer.from(JSON.stringify(value));
  return bytes.length > LARGE_BYTES ? contentOf(bytes) : undefined;
}

export function contentOf(bytes: Buffer): LargeContent {
  return { hash: createHash("sha256").update(bytes).digest("hex"), bytes };
}

/** The payload with its whole value in a hole. */
export function referTo({ hash, bytes }: LargeContent, inner: Payload["refs"] = []): { value: null; refs: Ref[] } {
  return { value: null, refs: [["", hash, bytes.length], ...(inner ?? [])] };
}

function mayBeLarge(root: Json): boolean {
  const enough = LARGE_BYTES / MAX_BYTES_PER_UNIT;
  let units = 0;
  const stack: Json[] = [root];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    // Quotes, a comma and a colon, or the longest number.
    units += typeof value === "string" ? value.length + 2 : 4;
    if (Array.isArray(value)) for (const child of value) stack.push(child);
    else if (isJsonObject(value)) {
      for (const key in value) {
        units += key.length + 4;
        stack.push(value[key]!);
      }
    }
    if (units > enough) return true;
  }
  return false;
}

/** Bytes of JSON, whatever holes there are. */
export function payloadBytes({ value, refs }: Payload): number {
  return Buffer.byteLength(JSON.stringify(value)) + (refs ?? []).reduce((sum, [, , bytes]) => sum + bytes, 0);
}

/** The holes of a value that is put at the pointer of another. */
export function refsAt(pointer: string, refs: Payload["refs"]): Ref[] {
  return (refs ?? []).map(([inner, hash, bytes]): Ref => [pointer + inner, hash, bytes]);
}

/** The value without holes. Its own containers may be changed by it; what fills the holes is shared. */
export function fillHoles({ value, refs }: Payload, contentOf: (hash: string) => Json): Json {
  const holes = refs ?? [];
  const whole = { value };
  for (const [n, [pointer, hash]] of holes.entries()) {
    // What is shared must not get the holes filled of one of those who share it.
    const isChanged = holes.slice(n + 1).some(([later]) => later.startsWith(`${pointer}/`));
    const content = isChanged ? structuredClone(contentOf(hash)) : contentOf(hash);
    put(whole, ["value", ...pointer.split("/").slice(1).map(unescapeSegment)], content);
  }
  return whole.value;
}

function unescapeSegment(segment: string): string {
  return segment.replaceAll("~1", "/").replaceAll("~0", "~");
}

function put(root: Json, path: string[], value: Json): void {
  const last = path.pop()!;
  const parent = path.reduce<Json>((at, segment) => (at as { [key: string]: Json })[segment]!, root);
  (parent as { [key: string]: Json })[last] = value;
}

/** Thrown where an evaluation reads what has not been loaded. Not an error of the expression: nothing absorbs it. */
export class PayloadUnread extends Error {
  readonly hashes: string[];
  constructor(hashes: string[]) {
    super("A large payload has to be loaded first");
    this.hashes = hashes;
  }
}

/** Contents that have been loaded, by hash. */
export type Contents = ReadonlyMap<string, Json>;

const unread = new WeakMap<object, Map<string, Payload>>();

/** Gives the owner a field that reads like the payload without holes, or throws PayloadUnread. */
export function defineLazy<T extends object>(
  owner: T,
  field: keyof T & string,
  payload: Payload,
  contents: Contents,
  read: (value: Json) => unknown = (value) => value,
): void {
  let found: { value: unknown } | undefined;
  const get = () => {
    found ??= { value: read(readPayload(payload, contents)) };
    return found.value;
  };
  Object.defineProperty(owner, field, { enumerable: true, configurable: true, get });
  const fields = unread.get(owner) ?? new Map<string, Payload>();
  unread.set(owner, fields.set(field, payload));
}

function readPayload(payload: Payload, contents: Contents): Json {
  const missing = (payload.refs ?? []).map(([, hash]) => hash).filter((hash) => !contents.has(hash));
  if (missing.length > 0) throw new PayloadUnread(missing);
  // The row's own value stays as it is: it may be passed on with its holes.
  const value = (payload.refs ?? []).length > 0 ? structuredClone(payload.value) : payload.value;
  return fillHoles({ ...payload, value }, (hash) => contents.get(hash)!);
}

/** The payload behind a lazy field, with its holes; undefined for any other field. */
export function payloadBehind(owner: object | undefined, field: string): Payload | undefined {
  return owner && unread.get(owner)?.get(field);
}

/** A context with more names in it. A spread would read its lazy fields. */
export function withNames(context: ExpressionContext, more: ExpressionContext): ExpressionContext {
  const extended = Object.defineProperties({}, Object.getOwnPropertyDescriptors(context)) as ExpressionContext;
  // A map of its own: other contexts are made of this one, too.
  const fields = new Map(unread.get(context));
  for (const name of Object.keys(more)) fields.delete(name);
  unread.set(extended, fields);
  for (const [name, value] of Object.entries(more)) {
    Object.defineProperty(extended, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return extended;
}
