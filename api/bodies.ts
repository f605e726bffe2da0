/** Reads request bodies: JSON that we can store, and workflow files as text. */
import { isUtf8 } from "node:buffer";
import type { FastifyRequest } from "fastify";
import secureJson from "secure-json-parse";
import { SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import { findJsonFlaw, type Json, type JsonFlaw } from "../core/json.ts";
import { readJson } from "../core/json-source.ts";
import { type Limits, limitSentence } from "../core/limits.ts";
import type { App } from "./context.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The body may hold values that cannot be stored. */
    isSuspicious: boolean;
    /** The body as it came, where it is large JSON or a workflow file. */
    bodyText: string | undefined;
  }
  interface FastifyContextConfig {
    /** The route itself judges what cannot be stored, value by value; elsewhere it is refused before the route is asked. */
    judgesBody?: boolean;
  }
}

/** What users send sits a few levels down in the envelope of the request. */
const ENVELOPE_DEPTH = 6;

export function readBodies(app: App, limits: Limits): void {
  app.decorateRequest("isSuspicious", false);
  app.decorateRequest("bodyText", undefined);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (request: FastifyRequest, bytes: Buffer) => {
      const text = textOf(request, bytes);
      const { body, isSuspicious } = parseJson(text, limits);
      request.isSuspicious = isSuspicious;
      request.bodyText = text;
      return body;
    },
  );
  app.addHook("onRequest", async (request) => {
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      throw new SkeinError(
        "MEDIA_TYPE_UNSUPPORTED",
        `Content-Encoding ${encoding} is not read here; send plain bytes.`,
      );
    }
    // The one character that PostgreSQL cannot take, wherever in the URL it would come from.
    if (request.url.includes("%00")) {
      throw new SkeinError("REQUEST_INVALID", "The URL contains the character U+0000 (%00); remove it.");
    }
  });
  app.addHook("preValidation", async (request) => {
    if (request.routeOptions.config.judgesBody) return;
    requireStorable(request, request.body, "", limits.jsonDepth + ENVELOPE_DEPTH);
  });
}

/** In this scope bodies are workflow files, in YAML or JSON: the route gets their text, to name line and column. */
export function readWorkflowFiles(app: App): void {
  app.removeContentTypeParser("application/json");
  const types = [
    "application/json",
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
    "text/plain",
  ];
  app.addContentTypeParser(types, { parseAs: "buffer" }, async (request: FastifyRequest, bytes: Buffer) => {
    request.bodyText = textOf(request, bytes);
  });
}

/** In this scope bodies are bytes of any type, and what they mean is nobody's business here. */
export function readBytes(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, async (_request: FastifyRequest, bytes: Buffer) => bytes);
}

function textOf(request: FastifyRequest, bytes: Buffer): string {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(request.headers["content-type"] ?? "")?.[1] ?? "utf-8";
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) {
    throw new SkeinError("MEDIA_TYPE_UNSUPPORTED", `The charset ${charset} is not read here; send UTF-8.`);
  }
  if (!isUtf8(bytes)) throw new SkeinError("JSON_INVALID", "The body is not valid UTF-8; encode it as UTF-8.");
  return bytes.toString();
}

function parseJson(text: string, limits: Limits): { body: Json; isSuspicious: boolean } {
  if (text.trim() === "") throw new SkeinError("JSON_INVALID", "The body is empty; send a JSON object.");
  const { depth, members, isHuge } = measure(text);
  if (depth > limits.jsonDepth + ENVELOPE_DEPTH) {
    throw new SkeinError("JSON_UNSTORABLE", `The body is nested too deeply: ${limitSentence("jsonDepth", limits)}.`);
  }
  const body = parseSafely(text);
  // Of two equal keys JSON.parse silently drops the first.
  if (members !== countMembers(body)) throw refusal("JSON_INVALID", readJson(text, limits).issues);
  return { body, isSuspicious: isHuge || depth > limits.jsonDepth || suspiciousEscape.test(text) };
}

function parseSafely(text: string): Json {
  try {
    return secureJson.parse(text, null, { protoAction: "error", constructorAction: "error" }) as Json;
  } catch (error) {
    const reason = (error as Error).message;
    if (reason.includes("forbidden prototype")) {
      throw new SkeinError(
        "JSON_UNSTORABLE",
        "The body has a prototype key (`__proto__` or `constructor`); remove it.",
      );
    }
    throw new SkeinError("JSON_INVALID", `The body is not valid JSON: ${reason}. Correct it.`);
  }
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET, COLON] = [34, 92, 123, 125, 91, 93, 58];
const [ZERO, NINE, CAPITAL_E, SMALL_E, PLUS] = [48, 57, 69, 101, 43];

/** A number of fewer digits, with an exponent of at most two, is below the largest double, 1.8e308. */
const HUGE_DIGITS = 308 - 99;
const HUGE_EXPONENT_DIGITS = 3;

/**
 * Reads JSON text before it is parsed: its deepest nesting, so that no later code ever meets a deep value; how many
 * members its objects have; and whether a number may be read as Infinity. Linear, whatever the text.
 */
function measure(text: string): { depth: number; members: number; isHuge: boolean } {
  let [open, depth, members, digits] = [0, 0, 0, 0];
  let [inString, inExponent, isHuge] = [false, false, false];
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) inString = false;
    } else if (char >= ZERO && char <= NINE) {
      digits++;
      isHuge ||= digits >= (inExponent ? HUGE_EXPONENT_DIGITS : HUGE_DIGITS);
    } else {
      digits = 0;
      inExponent = char === SMALL_E || char === CAPITAL_E || char === PLUS;
      if (char === QUOTE) inString = true;
      else if (char === COLON) members++;
      else if (char === OPEN_BRACE || char === OPEN_BRACKET) depth = Math.max(depth, ++open);
      else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) open--;
    }
  }
  return { depth, members, isHuge };
}

function countMembers(root: Json): number {
  let count = 0;
  const stack: Json[] = [root];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value !== "object" || value === null) continue;
    const children = Array.isArray(value) ? value : Object.values(value);
    if (!Array.isArray(value)) count += children.length;
    for (const child of children) if (typeof child === "object") stack.push(child);
  }
  return count;
}

/**
 * Strings that JSON text can say and PostgreSQL cannot store: an escaped U+0000, an escaped surrogate (perhaps a lone
 * one). Hardly any body has one, so only those that do are walked.
 */
const suspiciousEscape = /\\u0000|\\u[dD][89a-fA-F]/;

/** The first thing in `value` that cannot be stored, if the body looked as if it had one. */
export function flawIn(request: FastifyRequest, value: unknown, maxDepth: number): JsonFlaw | undefined {
  return request.isSuspicious ? findJsonFlaw(value, maxDepth) : undefined;
}

/** Refuses a request whose JSON cannot be stored. `pointer` says where in the body `value` stands. */
export function requireStorable(request: FastifyRequest, value: unknown, pointer: string, maxDepth: number): void {
  const flaw = flawIn(request, value, maxDepth);
  if (!flaw) return;
  const place = pointer + flaw.pointer;
  const message = `${place || "The body"} ${flaw.reason}; remove or encode it.`;
  throw new SkeinError("JSON_UNSTORABLE", message, {
    issues: [{ code: "JSON_UNSTORABLE", message, pointer: place }],
  });
}
