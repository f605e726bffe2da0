import { performTask } from "skein/testing";
import { expect, it } from "vitest";
import { crawl } from "./crawl.ts";

const links = { a: ["b", "c"], b: ["a", "d"] };

it("emits each page once, closes the map, and asks for a review of many", async () => {
  const result = await performTask(crawl, { start: "a", links });
  expect(result.output).toEqual({ found: 4 });
  expect(result.emitted.pages?.items.map(({ item }) => item)).toEqual(["a", "b", "c", "d"]);
  expect(result.emitted.pages?.isClosed).toBe(true);
  expect(result.spawned).toMatchObject([{ id: "review" }]);
  expect(result.progress.at(-1)).toEqual({ found: 4 });
});

it("stops when it is told to", async () => {
  const { outcome, emitted } = await performTask(crawl, { start: "a", links }, { signal: AbortSignal.abort() });
  expect({ outcome, emitted }).toEqual({ outcome: "stopped", emitted: {} });
});
