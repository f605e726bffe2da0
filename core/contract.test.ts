import { expect, it } from "vitest";
import { brokenContract } from "./contract.ts";

const flaw = (pointer: string) => ({ pointer, message: "must be integer, but is string" });

it("says where and what was expected, five times at most", () => {
  expect(brokenContract("output", "core.echo", [flaw("/n"), flaw("")])).toBe(
    'The output of "core.echo" is not valid: /n: must be integer, but is string; (the whole): must be integer, but is string',
  );
  expect(
    brokenContract(
      "input",
      "core.echo",
      Array.from({ length: 7 }, (_, n) => flaw(`/${n}`)),
    ),
  ).toMatch(/\/4: [^/]* \(and 2 more\)$/);
});

it("stays short and storable, however long a pointer is", () => {
  const message = brokenContract("output", "core.echo", [flaw(`/${"🪿".repeat(10_000)}`)]);
  expect(message.length).toBeLessThan(400);
  expect(message.isWellFormed()).toBe(true);
});
