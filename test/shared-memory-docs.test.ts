/** docs/shared-memory.md says what the code does. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { statusOf } from "../api/problems.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { defaultLimits, formatCount, type LimitName, limitKey } from "../core/limits.ts";
import { registryEvent } from "../core/protocol/agents.ts";
import { sharedBody, sharedChange, sharedEntry } from "../core/protocol/shared-memory.ts";

const text = readFileSync(join(import.meta.dirname, "../docs/shared-memory.md"), "utf8");
const shown = { sharedBody, sharedEntry, sharedChange, registryEvent };
const examples = [...text.matchAll(/<!-- (\w+) -->\n\n```json\n(.*?)```/gs)].map(([, name = "", json = ""]) => ({
  name: name as keyof typeof shown,
  value: JSON.parse(json) as unknown,
}));

describe("docs/shared-memory.md", () => {
  it("shows each request and each answer once", () => {
    expect(examples.map(({ name }) => name)).toEqual(Object.keys(shown));
  });

  it.each(examples)("shows a valid $name, and nothing beside it", ({ name, value }) => {
    expect(shown[name].parse(value)).toEqual(value);
    expect(Object.keys(value as object).sort()).toEqual(Object.keys(shown[name].shape).sort());
  });

  it("has each code under its status, and the types of events", () => {
    const codes = [...text.matchAll(/(\d{3}) `([A-Z_]+)`/g)];
    expect(codes.map(([, , code]) => code)).toContain("MEMORY_CONFLICT");
    for (const [, status, code] of codes) {
      expect(Object.keys(errorTitles)).toContain(code);
      expect([code, statusOf(code as ErrorCode)]).toEqual([code, Number(status)]);
    }
    for (const type of registryEvent.shape.type.options) expect(text).toContain(`\`${type}\``);
  });

  it.each(["sharedBytes", "sharedKeys"] satisfies LimitName[])("has the limit %s and how to set it", (name) => {
    const row = text.split("\n").find((line) => line.includes(`\`${limitKey(name)}\``));
    const limit = defaultLimits[name];
    expect(row).toContain(`| ${name.endsWith("Bytes") ? `${limit / 1_024} KiB` : formatCount(limit)} `);
  });
});
