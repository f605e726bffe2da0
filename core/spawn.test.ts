import { expect, it } from "vitest";
import { defaultLimits } from "./limits.ts";
import { seedSpawned } from "./spawn.ts";

const seed = (tasks: object[], parent = "plan") => seedSpawned(tasks as never[], parent, defaultLimits);

it("lets spawned tasks cancel what stands around them, which cannot be seen from where they are checked", () => {
  const [stop] = seed([
    { id: "stop", cancel: ["b", "outer"] },
    { id: "b", capability: "c" },
  ]) as { spec: object }[];
  expect(stop!.spec).toMatchObject({ engine: { kind: "cancel", targets: ["b", "outer"] } });
});

it("refuses tasks with a flaw, naming it, for good", () => {
  expect(seed([{ id: "a", capability: "c", needs: ["nobody"] }])).toEqual({
    code: "spawn_invalid",
    message: expect.stringContaining('/spawn/0/needs/0 Task "a" needs "nobody"'),
    retryable: false,
  });
});

it("refuses what is spawned too deep", () => {
  const parent = (levels: number) => Array.from({ length: levels }, () => "p").join("/");
  const tasks = [{ id: "a", capability: "c" }];
  expect(seed(tasks, parent(16))).toHaveLength(1);
  expect(seed(tasks, parent(17))).toMatchObject({ code: "spawn_too_deep" });
});
