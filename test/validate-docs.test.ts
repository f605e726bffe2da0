/** docs/validate.md says what the code does. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { errorTitles } from "../core/errors.ts";
import { findingTitles, severities } from "../core/proof/finding.ts";
import { validation } from "../core/protocol/workflows.ts";

const text = readFileSync(join(import.meta.dirname, "../docs/validate.md"), "utf8");
const rows = [...text.matchAll(/^\| `([A-Z_]+)` +\| ([a-z ]+?) +\|/gm)].map(([, code, severity]) => ({
  code: code!,
  severity: severity!,
}));

it("docs/validate.md has every code of a finding, and no code that there is not", () => {
  const codes = rows.map(({ code }) => code);
  expect(Object.keys(findingTitles).filter((code) => !codes.includes(code))).toEqual([]);
  expect(codes.filter((code) => !(code in findingTitles) && !(code in errorTitles))).toEqual([]);
  for (const { severity } of rows) for (const one of severity.split(" or ")) expect(severities).toContain(one);
});

it("docs/validate.md names every field of the bounds", () => {
  const { bounds } = validation.shape;
  const fields = Object.keys(bounds.unwrap().shape);
  expect(fields.length).toBeGreaterThan(4);
  expect(fields.filter((field) => !text.includes(`\`${field}`))).toEqual([]);
});
