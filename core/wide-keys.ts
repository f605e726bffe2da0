/**
 * Keys of limits that stand for many tasks: all of a namespace, or all of a capability in it, whatever their definitions name.
 * Keys that begin with @ are ours: a definition that names one is refused.
 */
import { idPattern } from "./workflow-schema.ts";

const RESERVED = "@";
export const NAMESPACE_KEY = "@namespace";
/** Followed by the name of a capability. */
export const CAPABILITY_KEY = "@capability:";

/** What a key stands for. */
export type KeyScope = { of: "namespace" } | { of: "capability"; capability: string } | { of: "key" };

/** The keys that stand for a task of the capability, among others. */
export function wideKeysFor(capability: string): string[] {
  return [CAPABILITY_KEY + capability, NAMESPACE_KEY];
}

/** Whether no definition may name the key. */
export function isReservedKey(key: string): boolean {
  return key.startsWith(RESERVED);
}

/** Undefined: a reserved key that means nothing. */
export function scopeOf(key: string): KeyScope | undefined {
  if (!isReservedKey(key)) return { of: "key" };
  if (key === NAMESPACE_KEY) return { of: "namespace" };
  const capability = key.startsWith(CAPABILITY_KEY) ? key.slice(CAPABILITY_KEY.length) : "";
  return idPattern.test(capability) ? { of: "capability", capability } : undefined;
}

/** Whether the key stands for many tasks. */
export function isWide(key: string): boolean {
  const scope = scopeOf(key);
  return scope !== undefined && scope.of !== "key";
}

/** The key in a sentence. */
export function nameOfKey(key: string): string {
  const scope = scopeOf(key);
  if (scope?.of === "namespace") return "the namespace";
  return scope?.of === "capability" ? `capability ${scope.capability}` : key;
}

/** Of a definition that names a reserved key. */
export function reservedKeyMessage(key: string): string {
  return `The key ${JSON.stringify(key)} begins with ${RESERVED}, which is kept for limits of whole namespaces and capabilities; choose another one.`;
}
