import { describe, expect, it } from "vitest";
import { allocate, type Candidate, misfits, nearestMatch, type RoutedTask, type RouteSpec } from "./routing.ts";

const agent = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  id,
  name: `agent ${id}`,
  labels: { gpu: "true", region: "eu", mem: "16" },
  capabilities: [
    { name: "work", version: "2.1" },
    { name: "look", version: "1" },
  ],
  slots: 2,
  busy: 0,
  isCordoned: false,
  ...more,
});
const work = { name: "work" };

describe("misfits", () => {
  it.each<[string, Partial<RouteSpec>, string[]]>([
    ["nothing more", {}, []],
    ["several capabilities", { capabilities: [work, { name: "look" }] }, []],
    ["one that is not offered", { capabilities: [work, { name: "sing" }] }, ["does not offer sing"]],
    ["a version range that fits", { capabilities: [{ name: "work", range: "^2" }] }, []],
    ["a narrower one that fits", { capabilities: [{ name: "work", range: "~2.1" }] }, []],
    ["a plain version that fits", { capabilities: [{ name: "work", range: "2" }] }, []],
    ["an exact version", { capabilities: [{ name: "work", range: "2.1.0" }] }, []],
    ["a newer version", { capabilities: [{ name: "work", range: "^3" }] }, ["offers work in version 2.1, not ^3"]],
    ["a newer minor", { capabilities: [{ name: "work", range: "^2.2" }] }, ["offers work in version 2.1, not ^2.2"]],
    ["a label that is equal", { labels: { region: "eu" } }, []],
    ["a flag", { labels: { gpu: true } }, []],
    ["a number", { labels: { mem: 16 } }, []],
    ["a number written otherwise", { labels: { mem: 16.0 } }, []],
    ["a label that is not equal", { labels: { region: "us" } }, ["has region=eu, not us"]],
    ["a flag that is off", { labels: { gpu: false } }, ["has gpu=true, not false"]],
    ["a label that is missing", { labels: { zone: "a" } }, ["has no label zone, not a"]],
    ["one of a list", { labels: { region: { in: ["us", "eu"] } } }, []],
    ["a number of a list", { labels: { mem: { in: [8, 16] } } }, []],
    ["none of a list", { labels: { region: { in: ["us", "ap"] } } }, ["has region=eu, not one of us, ap"]],
    ["a label that exists", { labels: { gpu: { exists: true } } }, []],
    ["a label that should exist", { labels: { zone: { exists: true } } }, ["has no label zone"]],
    ["a label that should not", { labels: { gpu: { exists: false } } }, ["has the label gpu"]],
    ["no label, as it should be", { labels: { zone: { exists: false } } }, []],
    ["more", { labels: { mem: { gt: 15 } } }, []],
    ["more than it has", { labels: { mem: { gt: 16 } } }, ["has mem=16, not > 16"]],
    ["at least", { labels: { mem: { gte: 16 } } }, []],
    ["at least more", { labels: { mem: { gte: 17 } } }, ["has mem=16, not ≥ 17"]],
    ["less", { labels: { mem: { lt: 17 } } }, []],
    ["less than it has", { labels: { mem: { lt: 16 } } }, ["has mem=16, not < 16"]],
    ["at most", { labels: { mem: { lte: 16 } } }, []],
    ["at most less", { labels: { mem: { lte: 15.5 } } }, ["has mem=16, not ≤ 15.5"]],
    ["a number that is none", { labels: { region: { gt: 1 } } }, ["has region=eu, not > 1"]],
    ["a number that is missing", { labels: { disk: { lt: 1 } } }, ["has no label disk, not < 1"]],
    ["its id", { agent: "a" }, []],
    ["its name", { agent: "agent a" }, []],
    ["another agent", { agent: "b" }, ["is not b"]],
    [
      "several things at once",
      { labels: { region: "us", gpu: false } },
      ["has region=eu, not us", "has gpu=true, not false"],
    ],
  ])("of a task that asks for %s", (_, route, flaws) => {
    expect(misfits({ capabilities: [work], ...route }, agent("a"))).toEqual(flaws);
  });

  it("counts a cordoned agent out", () => {
    expect(misfits({ capabilities: [work] }, agent("a", { isCordoned: true }))).toEqual(["is cordoned"]);
  });

  it("takes any of several versions that one agent offers", () => {
    const both = agent("a", { capabilities: ["1.4", "3"].map((version) => ({ name: "work", version })) });
    expect(misfits({ capabilities: [{ name: "work", range: "^1" }] }, both)).toEqual([]);
    expect(misfits({ capabilities: [{ name: "work", range: "2" }] }, both)).toEqual([
      "offers work in version 1.4, 3, not 2",
    ]);
  });
});

describe("allocate", () => {
  const task = (id: string, more: Partial<RoutedTask> = {}): RoutedTask => ({
    id,
    route: { capabilities: [work] },
    stickyKey: undefined,
    policy: "push",
    ...more,
  });
  const given = (tasks: RoutedTask[], agents: Candidate[]) => Object.fromEntries(allocate(tasks, agents).assigned);

  it("fills no agent beyond its slots, and leaves the rest", () => {
    expect(
      given([task("1"), task("2"), task("3")], [agent("a", { slots: 1 }), agent("b", { slots: 3, busy: 2 })]),
    ).toEqual({
      1: "a",
      2: "b",
    });
  });

  it("goes where most slots are free, then where the id is smallest", () => {
    expect(given([task("1"), task("2")], [agent("b", { slots: 3 }), agent("a", { slots: 2 })])).toEqual({
      1: "b",
      2: "a",
    });
  });

  it("goes first where more is as preferred", () => {
    const prefer = { region: "us", mem: { gte: 32 } };
    const agents = [
      agent("a", { slots: 9 }),
      agent("b", { labels: { region: "us" } }),
      agent("c", { slots: 1, labels: { region: "us", mem: "64" } }),
    ];
    const route = { capabilities: [work], prefer };
    expect(given([task("1", { route }), task("2", { route })], agents)).toEqual({ 1: "c", 2: "b" });
  });

  it("least-loaded goes where the share of free slots is largest", () => {
    const agents = [agent("a", { slots: 10, busy: 5 }), agent("b", { slots: 2 })];
    expect(given([task("1", { policy: "least-loaded" })], agents)).toEqual({ 1: "b" });
    expect(given([task("1")], agents)).toEqual({ 1: "a" });
  });

  it("cheapest-fit goes where it costs least, while there is room", () => {
    const costing = (cost: number) => [{ name: "work", version: "1", cost }];
    const agents = [agent("a", { capabilities: costing(3) }), agent("b", { slots: 1, capabilities: costing(2) })];
    const policy = "cheapest-fit" as const;
    expect(given([task("1", { policy }), task("2", { policy })], agents)).toEqual({ 1: "b", 2: "a" });
  });

  it("keeps what is sticky with one agent, and has it wait for that one", () => {
    const agents = [agent("a"), agent("b"), agent("c")];
    const sticky = (id: string) => task(id, { stickyKey: "customer 7" });
    const [own] = [...allocate([sticky("1")], agents).assigned.values()];
    expect(given([sticky("2"), sticky("3"), sticky("4")], agents)).toEqual({ 2: own, 3: own });
    expect(
      given(
        [sticky("5")],
        agents.filter(({ id }) => id !== own),
      ),
    ).not.toEqual({ 5: own });
  });

  it("moves only the keys of an agent that goes", () => {
    const agents = ["a", "b", "c", "d"].map((id) => agent(id, { slots: 1_000 }));
    const tasks = Array.from({ length: 200 }, (_, n) => task(String(n), { stickyKey: `key ${n}` }));
    const { assigned: before } = allocate(tasks, agents);
    const { assigned: after } = allocate(
      tasks,
      agents.filter(({ id }) => id !== "c"),
    );
    for (const [id, own] of before) if (own !== "c") expect(after.get(id)).toBe(own);
    expect(new Set(before.values())).toEqual(new Set(["a", "b", "c", "d"]));
  });
});

describe("nearestMatch", () => {
  it("is the agent that lacks least", () => {
    const route: RouteSpec = { capabilities: [work], labels: { region: "us", gpu: true } };
    const agents = [agent("a", { labels: {} }), agent("b")];
    expect(nearestMatch(route, agents)).toMatchObject({ agent: { id: "b" }, lacks: ["has region=eu, not us"] });
  });

  it("is one that offers the capability, before one that lacks no more, but that", () => {
    const route: RouteSpec = { capabilities: [work], labels: { gpu: true, region: "us" } };
    const other = {
      labels: { gpu: "true", region: "us" },
      capabilities: [{ ...agent("x").capabilities[0]!, name: "rest" }],
    };
    const agents = [agent("a", other), agent("b", { labels: {} })];
    expect(nearestMatch(route, agents)).toMatchObject({
      agent: { id: "b" },
      lacks: [expect.anything(), expect.anything()],
    });
  });

  it("is one that is only cordoned, before one that lacks anything", () => {
    const agents = [agent("a", { labels: {} }), agent("b", { isCordoned: true })];
    const route: RouteSpec = { capabilities: [work], labels: { gpu: true } };
    expect(nearestMatch(route, agents)).toMatchObject({ agent: { id: "b" }, lacks: ["is cordoned"] });
  });

  it("is none where there is no agent", () => {
    expect(nearestMatch({ capabilities: [work] }, [])).toBeUndefined();
  });
});
