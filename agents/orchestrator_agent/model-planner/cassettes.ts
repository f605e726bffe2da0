/**
 * Records what a model's endpoint answers, and replays it: a file for each request, by the hash of what is asked. So the same
 * planning can be repeated without paying, and tests run without a model. Keys are in headers, which are not recorded.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SkeinError } from "../../../core/errors.ts";
import { plannerFetch } from "./endpoint.ts";

/** `record` asks what has not been recorded; `replay` never asks. */
export type CassetteMode = "record" | "replay";

interface Cassette {
  request: unknown;
  response: { status: number; contentType: string; body: string };
}

/** A fetch that answers from `folder`. Only successes are recorded. Rejects with PLANNER_FAILED for what it has not got. */
export function cassetteFetch(folder: string, mode: CassetteMode, send: typeof fetch = plannerFetch()): typeof fetch {
  return async (url, init) => {
    const text = String(init?.body ?? "");
    const path = new URL(String(url instanceof Request ? url.url : url)).pathname;
    const file = join(folder, `${hashOf(path, text)}.json`);
    const known = await read(file);
    if (known) return responseOf(known);
    if (mode === "replay") {
      throw new SkeinError(
        "PLANNER_FAILED",
        `${folder} has no answer to this request (${file}); record it with SKEIN_LLM_CASSETTE_MODE=record.`,
      );
    }
    const response = await send(url, init);
    if (!response.ok) return response;
    const body = await response.text();
    const contentType = response.headers.get("content-type") ?? "application/json";
    const cassette: Cassette = { request: JSON.parse(text), response: { status: response.status, contentType, body } };
    await write(folder, file, cassette);
    return responseOf(cassette);
  };
}

function hashOf(path: string, body: string): string {
  return createHash("sha256").update(`${path}\n${body}`).digest("hex");
}

async function read(file: string): Promise<Cassette | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Cassette;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whole or not at all: two may record the same. */
async function write(folder: string, file: string, cassette: Cassette): Promise<void> {
  await mkdir(folder, { recursive: true });
  const unfinished = `${file}.${process.pid}.${Date.now()}`;
  await writeFile(unfinished, `${JSON.stringify(cassette, null, 2)}\n`);
  await rename(unfinished, file);
}

function responseOf({ response: { status, contentType, body } }: Cassette): Response {
  return new Response(body, { status, headers: { "content-type": contentType } });
}
