/** The cache of outputs: which tasks ask the same, and of which version of the capability the answer has to be. */
import { createHash } from "node:crypto";
import { coerce, rcompare } from "semver";
import type { Issue } from "./errors.ts";
import { canonicalJson, type Json, pointerTo } from "./json.ts";
import { fits, type WantedCapability } from "./routing.ts";
import type { TaskSpec } from "./run.ts";

export interface CacheSpec {
  /** Template of what stands for the input; absent: the input itself. */
  key?: Json;
  /** How long an output is good for, in milliseconds. */
  ttlMs: number;
}

/** The version of agents that say none. */
const DEFAULT_VERSION = "1";

/**
 * SHA-256, in hex: equal for tasks that ask the same of the same capability, and of agents of the same kind. `identity` is
 * the input, or what the task's `cache.key` came to.
 */
export function cacheKey(
  capability: string,
  { route, cache }: Pick<TaskSpec, "route" | "cache">,
  identity: Json,
): string {
  const { capabilities = [], labels, agent } = route ?? {};
  const agents = { requires: capabilities.slice(1), labels, agent };
  const by = cache?.key === undefined ? "input" : "key";
  return createHash("sha256")
    .update(canonicalJson([capability, agents, by, identity]))
    .digest("hex");
}

/** What the task asks of its first capability. */
export function wantedIn(capability: string, { route }: Pick<TaskSpec, "route">): WantedCapability {
  return route?.capabilities[0] ?? { name: capability };
}

export interface KnownVersion {
  name: string;
  version: string;
  /** Whether a live agent offers it. */
  isOffered: boolean;
}

/**
 * The version that the task would be done by: the newest that it accepts of those offered now, else of those ever
 * registered. Undefined: nobody knows the capability.
 */
export function versionOf({ name, range }: WantedCapability, known: readonly KnownVersion[]): string | undefined {
  const fitting = known.filter((one) => one.name === name && (range === undefined || fits(one.version, range)));
  const offered = fitting.filter((one) => one.isOffered);
  const versions = (offered.length > 0 ? offered : fitting).map(({ version }) => version);
  return versions.sort(newestFirst)[0];
}

/** As `versionOf`, of one agent. */
export function versionBy(
  wanted: WantedCapability,
  offers: readonly { name: string; version?: string }[],
): string | undefined {
  return versionOf(
    wanted,
    offers.map(({ name, version = DEFAULT_VERSION }) => ({ name, version, isOffered: true })),
  );
}

/** Texts that are no version come last, by the alphabet. */
function newestFirst(a: string, b: string): number {
  const [one, other] = [coerce(a), coerce(b)];
  if (one && other) return rcompare(one, other) || (a < b ? 1 : -1);
  if (one || other) return one ? -1 : 1;
  return a < b ? 1 : -1;
}

/** What is wrong with a task for having a `cache`, beyond its shape and its expressions. `at` is where it stands. */
export function wrongCache(raw: Record<string, unknown>, id: string, at: string): Issue[] {
  if (raw.cache === undefined || raw.compensate === undefined) return [];
  const message = `Task "${id}" has both \`cache\` and \`compensate\`, but an output taken from the cache leaves nothing to undo; keep one of them.`;
  return [{ code: "WORKFLOW_INVALID", message, pointer: pointerTo(at, "cache") }];
}
