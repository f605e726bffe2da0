import { expect, it } from "vitest";
import { isReservedKey, isWide, type KeyScope, nameOfKey, scopeOf } from "./wide-keys.ts";

it.each<[string, KeyScope | undefined, string]>([
  ["@namespace", { of: "namespace" }, "the namespace"],
  ["@capability:llm.generate", { of: "capability", capability: "llm.generate" }, "capability llm.generate"],
  ["crm-acme", { of: "key" }, "crm-acme"],
  ["namespace", { of: "key" }, "namespace"],
  ["capability:llm.generate", { of: "key" }, "capability:llm.generate"],
  ["a@namespace", { of: "key" }, "a@namespace"],
  ["@namespaces", undefined, "@namespaces"],
  ["@capability:", undefined, "@capability:"],
  ["@capability:no/name", undefined, "@capability:no/name"],
  ["@capabilty:llm.generate", undefined, "@capabilty:llm.generate"],
  ["@", undefined, "@"],
])("%j stands for %j", (key, scope, name) => {
  expect(scopeOf(key)).toEqual(scope);
  expect(isReservedKey(key)).toBe(scope?.of !== "key");
  expect(isWide(key)).toBe(scope !== undefined && scope.of !== "key");
  expect(nameOfKey(key)).toBe(name);
});
