/** docs/agent-data.md says what the code does. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { statusOf } from "../api/problems.ts";
import { mayPass } from "../core/agent-data.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { defaultLimits, formatCount, type LimitName, limitKey } from "../core/limits.ts";
import * as data from "../core/protocol/agent-data.ts";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";

const MEBIBYTE = 1_024 * 1_024;
const docs = join(dirname(import.meta.dirname), "docs");
const text = readFileSync(join(docs, "agent-data.md"), "utf8");
const prose = text.replace(/\s+/g, " ");
const { stateBody, agentState, entriesBody, entriesAnswer, messagesBody, messagesAnswer } = data;
const { inboxAnswer, acknowledgeBody, acknowledgeAnswer, memoryQuery, forgotten, subscription, replyAnswer } = data;
const { workingBody, workingState } = data;
const shown = {
  stateBody,
  agentState,
  entriesBody,
  entriesAnswer,
  messagesBody,
  messagesAnswer,
  inboxAnswer,
  acknowledgeBody,
  acknowledgeAnswer,
  subscription,
  replyAnswer,
  workingBody,
  workingState,
};
const examples = [...text.matchAll(/<!-- (\w+) -->\n\n```json\n(.*?)```/gs)].map(([, name = "", json = ""]) => ({
  name: name as keyof typeof shown,
  value: JSON.parse(json) as unknown,
}));

describe("docs/agent-data.md", () => {
  it("shows each request and each answer once", () => {
    expect(examples.map(({ name }) => name).sort()).toEqual(Object.keys(shown).sort());
  });

  it.each(examples)("shows a valid $name, and nothing beside it", ({ name, value }) => {
    expect(shown[name].parse(value)).toEqual(value);
  });

  it.each(Object.entries({ ...shown, memoryQuery, forgotten }))("names every field of %s", (_, shape) => {
    const words = new Set(text.match(/\b[a-z_]+\b/g));
    const fields = fieldsIn(z.toJSONSchema(shape, { io: "input", unrepresentable: "any" }));
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => !words.has(field))).toEqual([]);
  });

  it("has each code under its status, and says which may pass", () => {
    const codes = [...text.matchAll(/(\d{3}) `([A-Z_]+)`/g)];
    for (const [, status, code] of codes) {
      expect(Object.keys(errorTitles)).toContain(code);
      expect([code, statusOf(code as ErrorCode)]).toEqual([code, Number(status)]);
    }
    const known = Object.keys(errorTitles).filter((code) =>
      /^(STATE|MEMORY(?!_CONFLICT)|INBOX|AGENT_DATA|SUBSCRIPTIONS|MESSAGE|TOO_MANY)_/.test(code),
    );
    expect(known.filter((code) => !codes.some(([, , shown]) => shown === code))).toEqual([]);
    const passing = ["STATE_CONFLICT", "MEMORY_FULL", "INBOX_FULL"] as const;
    const final = ["AGENT_DATA_TOO_LARGE", "AGENT_NOT_FOUND"] as const;
    expect([...passing, ...final].filter((code) => mayPass({ code, message: "" }))).toEqual(passing);
    expect(prose).toMatch(/`STATE_CONFLICT`, `MEMORY_FULL` and `INBOX_FULL` are tried again/);
    expect(prose).toMatch(/`AGENT_DATA_TOO_LARGE` and `AGENT_NOT_FOUND` are final/);
  });

  it.each([
    "stateBytes",
    "memoryEntryBytes",
    "messageBytes",
    "memoryEntries",
    "inboxMessages",
    "recipients",
    "subscriptions",
  ] satisfies LimitName[])("has the limit %s and how to set it", (name) => {
    const row = text.split("\n").find((line) => line.includes(`\`${limitKey(name)}\``));
    const limit = defaultLimits[name];
    const inBytes = limit < MEBIBYTE ? `${limit / 1_024} KiB` : `${limit / MEBIBYTE} MiB`;
    const size = name.endsWith("Bytes") ? inBytes : formatCount(limit);
    expect(row).toContain(`| ${size} `);
  });

  it("has the sizes of batches and the longest wait", () => {
    expect(prose).toContain(`all or none, at most ${data.MAX_ENTRIES} of them`);
    expect(prose).toContain(`to \`${data.MAX_WORKING_TTL}\`, default \`${data.DEFAULT_WORKING_TTL}\``);
    expect(prose).toContain(`sends at most ${data.MAX_MESSAGES}, all or none`);
    expect(prose).toContain(`waits up to so many seconds (${MAX_WAIT_SECONDS})`);
  });

  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(1);
    expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
  });
});

/** The members of every object in a JSON Schema, at any depth. */
function fieldsIn(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, child]) => [
    ...(key === "properties" ? Object.keys(child as object) : []),
    ...fieldsIn(child),
  ]);
}
