/** Whether an object store does what is asked of one: an object that nobody else has is written, read back and deleted. */
import { createHash, randomBytes } from "node:crypto";
import { SkeinError } from "../core/errors.ts";
import type { ObjectStore } from "./store.ts";

export interface ProbeFlaw {
  /** What it cannot do. */
  step: "write" | "read" | "delete";
  /** The cause and the remedy. */
  message: string;
}

const PROBE_BYTES = 64;

/** Undefined: it does all of it. What was written is deleted, also when it cannot be read. */
export async function probeObjects({ put, get, delete: remove }: ObjectStore): Promise<ProbeFlaw | undefined> {
  const content = randomBytes(PROBE_BYTES);
  const hash = createHash("sha256").update(content).digest("hex");
  const written = await flawOf("write", () => put(hash, content));
  if (written) return written;
  const read = await flawOf("read", () => get(hash));
  const deleted = await flawOf("delete", () => remove(hash));
  if (read || deleted) return read ?? deleted;
  const isThere = await get(hash).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  const message = `The object ${hash} is still there after it was deleted. Contents that nobody needs would stay for ever: see whether the server, or something between, keeps what is deleted.`;
  return { step: "delete", message };
}

async function flawOf(step: ProbeFlaw["step"], work: () => Promise<unknown>): Promise<ProbeFlaw | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof SkeinError) return { step, message: error.message };
    throw error;
  }
}
