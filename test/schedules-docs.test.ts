/** docs/schedules.md says what the code does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { statusOf } from "../api/problems.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { scheduleBody, tick } from "../core/protocol/schedules.ts";
import { catchUps, overlaps, tickOutcomes } from "../core/schedule/policies.ts";

const docs = join(import.meta.dirname, "../docs");
const text = readFileSync(join(docs, "schedules.md"), "utf8");
const shown = { scheduleBody, tick };
const examples = [...text.matchAll(/<!-- (\w+) -->\n\n```json\n(.*?)```/gs)].map(([, name = "", json = ""]) => ({
  name: name as keyof typeof shown,
  value: JSON.parse(json) as unknown,
}));
/** The cells of the first row that begins with a name in code. */
const rows = new Map(
  [...text.matchAll(/^\| `(\w+)` +\| ?(.*)\|$/gm)].map(([, name, rest]) => [name!, rest!] as const).toReversed(),
);

describe("docs/schedules.md", () => {
  it("shows what is sent and what is answered, each once", () => {
    expect(examples.map(({ name }) => name)).toEqual(Object.keys(shown));
  });

  it.each(examples)("shows a valid $name, and nothing beside it", ({ name, value }) => {
    expect(shown[name].parse(value)).toEqual(value);
    expect(Object.keys(value as object).sort()).toEqual(Object.keys(shown[name].shape).sort());
  });

  it("has a row for every key, with its default, and for every policy and outcome", () => {
    const defaults = scheduleBody.parse({ name: "a", cron: "@daily", workflow: "a" }) as Record<string, unknown>;
    for (const key of Object.keys(scheduleBody.shape)) {
      const given = ["name", "cron", "workflow"].includes(key) ? undefined : defaults[key];
      const cell = given === undefined ? "" : `\`${typeof given === "object" ? "{}" : given}\``;
      expect([key, rows.get(key)!.split("|")[0]!.trim()]).toEqual([key, cell]);
    }
    for (const word of [...catchUps, ...overlaps, ...tickOutcomes]) expect([...rows.keys()]).toContain(word);
  });

  it("has every code under its status", () => {
    const codes = [...text.matchAll(/(\d{3}) `([A-Z_]+)`/g)];
    for (const [, status, code] of codes) expect([code, statusOf(code as ErrorCode)]).toEqual([code, Number(status)]);
    const own = Object.keys(errorTitles).filter((code) => code.startsWith("SCHEDULE_"));
    expect(codes.map(([, , code]) => code)).toEqual(expect.arrayContaining(own));
  });

  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(2);
    expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
  });
});
