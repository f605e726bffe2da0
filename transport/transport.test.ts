import { describe, expect, it } from "vitest";
import {
  agentNoticePatterns,
  agentQueue,
  agentRoutingKey,
  capabilityQueue,
  decodeHint,
  encodeHint,
  type Hint,
  isAgentQueue,
} from "./transport.ts";

describe("the name of a queue", () => {
  it("is readable when its parts are plain", () => {
    expect(capabilityQueue("default", "http.request")).toBe("skein.tasks:default:http.request");
    expect(agentQueue("default", "0198-a")).toBe("skein.agents:default:0198-a");
  });

  it("tells agents' queues from those of capabilities, whatever they are called", () => {
    for (const name of ["a", "skein.agents:x", "", "x".repeat(400)]) {
      expect(isAgentQueue(capabilityQueue("skein.agents", name))).toBe(false);
      expect(isAgentQueue(agentQueue("skein.tasks", name))).toBe(true);
    }
  });

  it("is never shared by two pairs of namespace and name", () => {
    const parts = [
      "a",
      "b",
      "a.b",
      "a:b",
      ":",
      "",
      "sha256",
      "🪿",
      "\ud800",
      "\udfff",
      "x".repeat(200),
      "x".repeat(201),
    ];
    const names = parts.flatMap((namespace) => parts.map((name) => capabilityQueue(namespace, name)));
    expect(new Set(names).size).toBe(parts.length ** 2);
  });

  it.each([
    ["default", "🪿".repeat(200)],
    ["n".repeat(128), "c".repeat(128)],
    ["n".repeat(100), "c".repeat(142)],
  ])("is at most 255 bytes", (namespace, name) => {
    expect(Buffer.byteLength(capabilityQueue(namespace, name))).toBeLessThanOrEqual(255);
    expect(Buffer.byteLength(agentQueue(namespace, name))).toBeLessThanOrEqual(255);
  });
});

describe("the routing key of a notice", () => {
  it("has three words, or two where it is for all, whatever the name", () => {
    expect(agentRoutingKey("agent", "default", "clerk-1")).toBe("agent.default.clerk-1");
    expect(agentRoutingKey("topic", "default", "geese.grey")).toBe("topic.default.geese%2Egrey");
    expect(agentRoutingKey("broadcast", "default")).toBe("broadcast.default");
    for (const name of ["*", "#", "a.b.c", " ", "\ud800", "🪿".repeat(128), "x".repeat(400)]) {
      const key = agentRoutingKey("agent", "n".repeat(63), name);
      expect(key).toMatch(/^agent\.n+\.[A-Za-z0-9%~_!'()-]+$/);
      expect(Buffer.byteLength(key)).toBeLessThanOrEqual(255);
    }
  });

  it("is among those that an agent listens to, whatever its namespace", () => {
    const matches = (pattern: string, key: string) => {
      const words = pattern.split(".");
      const said = key.split(".");
      return words.length === said.length && words.every((word, index) => word === "*" || word === said[index]);
    };
    for (const name of ["clerk-1", "a.b", "🪿".repeat(16), "🪿".repeat(20), "🪿".repeat(128), "x".repeat(240)]) {
      const patterns = agentNoticePatterns(name);
      for (const pattern of patterns) expect(Buffer.byteLength(pattern)).toBeLessThanOrEqual(255);
      for (const namespace of ["n", "n".repeat(63)]) {
        const heard = (key: string) => patterns.some((pattern) => matches(pattern, key));
        expect([name, heard(agentRoutingKey("agent", namespace, name))]).toEqual([name, true]);
        expect(heard(agentRoutingKey("topic", namespace, "geese.grey"))).toBe(true);
        expect(heard(agentRoutingKey("broadcast", namespace))).toBe(true);
        expect(heard(agentRoutingKey("agent", namespace, `${name}-2`))).toBe(false);
        expect(heard(agentRoutingKey("memory", namespace, "scope"))).toBe(false);
      }
    }
  });

  it("is never shared by two names", () => {
    const names = ["a", "a.b", "a%2Eb", "~", "%7E", "*", "#", "x".repeat(300), "x".repeat(301), "🪿"];
    expect(new Set(names.map((name) => agentRoutingKey("topic", "n", name))).size).toBe(names.length);
  });
});

describe("a hint", () => {
  const hint: Hint = { taskId: "t", runId: "r", capability: "core.echo", attemptHint: 2 };

  it("has the body of the contract", () => {
    expect(JSON.parse(encodeHint({ ...hint, traceparent: "00-…" }))).toEqual({
      v: 1,
      task_id: "t",
      run_id: "r",
      capability: "core.echo",
      attempt_hint: 2,
    });
  });

  it("reads back as it was, its trace context from beside the body", () => {
    expect(decodeHint(encodeHint(hint))).toEqual({ hint });
    expect(decodeHint(encodeHint(hint), "00-a")).toEqual({ hint: { ...hint, traceparent: "00-a" } });
    expect(decodeHint(encodeHint(hint), { not: "text" })).toEqual({ hint });
  });

  it("of a later writer may hold more than we know", () => {
    expect(decodeHint(JSON.stringify({ ...JSON.parse(encodeHint(hint)), more: true }))).toEqual({ hint });
  });

  it.each([
    ["", "not JSON"],
    ["{", "not JSON"],
    ["null", "not a JSON object"],
    ["[1]", "not a JSON object"],
    ['"hint"', "not a JSON object"],
    ["{}", "version"],
    ['{"v":"1"}', "version"],
    ['{"v":2,"task_id":"t","run_id":"r","capability":"c","attempt_hint":1}', "version"],
    ['{"v":1,"task_id":7,"run_id":"r","capability":"c","attempt_hint":1}', "not a string"],
    ['{"v":1,"task_id":"t","capability":"c","attempt_hint":1}', "not a string"],
    ['{"v":1,"task_id":"t","run_id":"r","capability":"c"}', "not a number"],
  ])("is refused as %s, with what is wrong", (text, flaw) => {
    expect(decodeHint(text)).toEqual({ flaw: expect.stringContaining(flaw) });
  });
});
