import { expect, it } from "vitest";
import { coreEcho } from "./core-echo.ts";
import { perform } from "./perform.suite.ts";

it.each([[null], [0], ["text"], [[1, [2]]], [{ a: { b: true } }]])(
  "core.echo answers %j with itself",
  async (value) => {
    expect(await perform(coreEcho, value)).toEqual(value);
  },
);
