/** docs/executor-protocol.md says what the code does. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { statusOf } from "../api/problems.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { defaultLimits, formatCount, type LimitName, limitKey } from "../core/limits.ts";
import * as agents from "../core/protocol/agents.ts";
import * as bids from "../core/protocol/bids.ts";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";
import * as tasks from "../core/protocol/tasks.ts";
import { decodeHint } from "../transport/transport.ts";

const docs = join(dirname(import.meta.dirname), "docs");
const text = readFileSync(join(docs, "executor-protocol.md"), "utf8");
const shapes: Record<string, z.ZodType> = {
  registerAgentBody: agents.registerAgentBody,
  registeredAgent: agents.registeredAgent,
  announcementsAnswer: bids.announcementsAnswer,
  bidsBody: bids.bidsBody,
  bidsAnswer: bids.bidsAnswer,
  claimBody: tasks.claimBody,
  claimAnswer: tasks.claimAnswer,
  heartbeatBody: tasks.heartbeatBody,
  heartbeatAnswer: tasks.heartbeatAnswer,
  reportBody: tasks.reportBody,
  reportAnswer: tasks.reportAnswer,
  emitBody: tasks.emitBody,
  emitAnswer: tasks.emitAnswer,
  releaseBody: tasks.releaseBody,
  releaseAnswer: tasks.releaseAnswer,
};
const prose = text.replace(/\s+/g, " ");
const examples = [...text.matchAll(/<!-- (\w+) -->\n\n```json\n(.*?)```/gs)].map(([, name = "", json = ""]) => ({
  name,
  value: JSON.parse(json),
}));

/** The members of every object in a JSON Schema, at any depth. */
function fieldsIn(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, child]) => [
    ...(key === "properties" ? Object.keys(child as object) : []),
    ...fieldsIn(child),
  ]);
}

describe("docs/executor-protocol.md", () => {
  it("shows each request and each answer once", () => {
    expect(examples.map(({ name }) => name).sort()).toEqual([...Object.keys(shapes), "hint"].sort());
  });

  it.each(examples.filter(({ name }) => name !== "hint"))("shows a valid $name", ({ name, value }) => {
    const strict = shapes[name]!.safeParse(value);
    expect(strict.error?.issues ?? []).toEqual([]);
    // Answers are not strict: what is not in the shape falls out; of requests, defaults come in.
    expect(strict.data).toMatchObject(value);
  });

  it("shows a hint that can be read", () => {
    const { value } = examples.find(({ name }) => name === "hint")!;
    expect(decodeHint(JSON.stringify(value))).toEqual({
      hint: { taskId: value.task_id, runId: value.run_id, capability: "core.echo", attemptHint: 1 },
    });
  });

  it.each(Object.entries(shapes))("names every field of %s", (_, shape) => {
    const words = new Set(text.match(/\b[a-z_]+\b/g));
    const fields = fieldsIn(z.toJSONSchema(shape, { io: "input", unrepresentable: "any" }));
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => !words.has(field))).toEqual([]);
  });

  it("has each code under its status", () => {
    const rows = [...text.matchAll(/^\| (\d{3}) +\| (.*?) +\|/gm)];
    expect(rows.length).toBeGreaterThan(10);
    for (const [, status, codes = ""] of rows) {
      for (const [, code = ""] of codes.matchAll(/`(\w+)`/g)) {
        expect(Object.keys(errorTitles)).toContain(code);
        expect([code, statusOf(code as ErrorCode)]).toEqual([code, Number(status)]);
      }
    }
  });

  it.each(["bodyBytes", "reportBytes", "outputBytes", "jsonDepth"] satisfies LimitName[])(
    "has the limit %s",
    (name) => {
      const limit = defaultLimits[name];
      const shown = name.endsWith("Bytes") ? `${limit / 1_024 / 1_024} MiB` : `${limit} levels`;
      expect(prose).toMatch(new RegExp(`${shown} \\(\`${limitKey(name)}\`\\)`));
    },
  );

  it("has the sizes of batches and the longest wait", () => {
    expect(prose).toContain(`have at most ${formatCount(tasks.MAX_BATCH)} entries`);
    expect(prose).toContain(`seconds to wait for work, 0 (default) to ${MAX_WAIT_SECONDS}`);
    expect(prose).toContain(`at most ${formatCount(tasks.MAX_LOG_LINES)} lines`);
  });

  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(2);
    expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
  });
});
