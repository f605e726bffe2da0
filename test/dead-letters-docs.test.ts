/** docs/dead-letters.md says what the code does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { statusOf } from "../api/problems.ts";
import { letterStates } from "../core/dead-letter.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { deadLetterDetail, deadLettersQuery } from "../core/protocol/dead-letters.ts";

const docs = join(import.meta.dirname, "../docs");
const text = readFileSync(join(docs, "dead-letters.md"), "utf8");

describe("docs/dead-letters.md", () => {
  it("shows a valid dead letter, whole", () => {
    const [, json] = /<!-- deadLetterDetail -->\n\n```json\n(.*?)```/s.exec(text)!;
    const value = JSON.parse(json!) as object;
    expect(deadLetterDetail.parse(value)).toEqual(value);
    expect(Object.keys(value).sort()).toEqual(Object.keys(deadLetterDetail.shape).sort());
  });

  it("has every state, and every filter", () => {
    for (const state of letterStates) expect(text).toMatch(new RegExp(`^\\| \`${state}\` `, "m"));
    for (const key of Object.keys(deadLettersQuery.shape).filter((one) => one !== "cursor")) {
      expect(text).toContain(`\`${key}\``);
    }
  });

  it("has every code under its status", () => {
    const codes = [...text.matchAll(/(\d{3}) `([A-Z_]+)`/g)];
    for (const [, status, code] of codes) expect([code, statusOf(code as ErrorCode)]).toEqual([code, Number(status)]);
    const own = Object.keys(errorTitles).filter((code) => code.startsWith("DEAD_LETTER_"));
    expect(codes.map(([, , code]) => code)).toEqual(expect.arrayContaining(own));
  });

  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(2);
    expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
  });
});
