/** Contract net over HTTP alone, as an agent of any language would take part in it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AnnouncementsAnswer, BidRoundsBody, BidsAnswer } from "../../core/protocol/bids.ts";
import type { WhyBody } from "../../core/protocol/runs.ts";
import { until } from "../deployment.ts";
import { nowhere, startServer, type TestAgent, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

/** A namespace whose tasks are allocated by contract net, with so many agents that bid. */
async function newMarket(bidders: number, window = {}) {
  const space = await server.newNamespace();
  const path = "/v1/capabilities/work/allocation";
  const set = await space.call({ method: "PUT", path, body: { policy: "contract-net", ...window } });
  expect(set.body).toEqual({ policy: "contract-net", ...window });
  const agents = await Promise.all(Array.from({ length: bidders }, () => space.join([{ name: "work", bids: true }])));
  return { space, agents };
}

async function announcements(agent: TestAgent, wait = 30) {
  const path = `/v1/agents/${agent.id}/announcements?wait=${wait}`;
  return (await agent.call<AnnouncementsAnswer>({ path })).body.announcements;
}

async function bid(agent: TestAgent, bids: BidsBody) {
  const body = { bids: bids.map(([task_id, round, amount]) => ({ task_id, round, bid: amount })) };
  const answer = await agent.call<BidsAnswer>({ path: `/v1/agents/${agent.id}/bids`, body });
  return answer.body.bids.map(({ result }) => result);
}
type BidsBody = [task: string, round: number, amount: number | null][];

describe("an agent that bids", () => {
  it("is woken by an announcement, bids, and claims what it has won", async () => {
    const { space, agents } = await newMarket(2, { bid_window_ms: 60_000 });
    const [one, two] = agents as [TestAgent, TestAgent];
    const heard = agents.map((agent) => announcements(agent));
    const { id: run } = await space.submit([{ id: "a", input: { x: 1 } }]);
    const [first, second] = (await Promise.all(heard)).map(([announced]) => announced);
    expect(first).toMatchObject({ run_id: run, key: "a", capability: "work", attempt: 1, round: 1, input: { x: 1 } });
    expect(second).toMatchObject({ task_id: first!.task_id });
    const { task_id, round } = first!;
    expect(
      await bid(one, [
        [task_id, round, 3],
        [task_id, 7, 3],
        [nowhere, 1, null],
      ]),
    ).toEqual(["accepted", "unknown", "unknown"]);
    const { body: why } = await space.call<WhyBody>({ path: `/v1/runs/${run}/tasks/a/why` });
    expect(why.reasons[0]).toMatchObject({
      code: "announced",
      message: expect.stringContaining("announced to 2 agents, of which 1 has bid"),
      until: expect.any(String),
    });
    const claim = two.claim({ wait: 30 });
    expect(await bid(two, [[task_id, round, 2]])).toEqual(["accepted"]);
    expect(await claim).toMatchObject([{ key: "a", attempt: 1 }]);
    expect(await one.claim()).toEqual([]);
    expect(await bid(one, [[task_id, round, 1]])).toEqual(["late"]);
    const { body: rounds } = await space.call<BidRoundsBody>({ path: `/v1/runs/${run}/tasks/a/bids` });
    expect(rounds.data).toMatchObject([
      {
        round: 1,
        awarded_to: two.id,
        bids: [
          { agent_id: two.id, agent: "tester", state: "bid", bid: 2 },
          { agent_id: one.id, state: "bid", bid: 3 },
        ],
      },
    ]);
    const missing = await space.call({ path: `/v1/runs/${run}/tasks/b/bids` });
    expect(missing.body.code).toBe("TASK_NOT_FOUND");
  });

  it("is asked again, in a later round, when it was silent", async () => {
    const { space, agents } = await newMarket(1, { bid_window_ms: 10 });
    const [own] = agents as [TestAgent];
    await space.submit([{ id: "a" }]);
    await until(async () => {
      const [asked] = await announcements(own);
      expect(asked?.round).toBeGreaterThan(1);
      expect(await bid(own, [[asked!.task_id, asked!.round, 1]])).toEqual(["accepted"]);
    }, "a later round has taken its bid");
    expect(await own.claim({ wait: 30 })).toMatchObject([{ key: "a" }]);
  });

  it("hears nothing of what it does not offer, what is another's, and while it is cordoned", async () => {
    const { space, agents } = await newMarket(1, { bid_window_ms: 60_000 });
    const [own] = agents as [TestAgent];
    const other = await space.join([{ name: "else", bids: true }]);
    const stranger = (await newMarket(1)).agents[0]!;
    await space.submit([{ id: "a" }]);
    expect(await announcements(own)).toHaveLength(1);
    for (const agent of [other, stranger]) expect(await announcements(agent, 0)).toEqual([]);
    const cordoned = await space.join([{ name: "work", bids: true }]);
    await space.call({ method: "PATCH", path: `/v1/agents/${cordoned.id}`, body: { cordoned: true } });
    expect(await announcements(cordoned, 0)).toEqual([]);
  });
});

describe("an allocation is refused", () => {
  it.each([
    ["a window without bids", { policy: "push", bid_window_ms: 500 }, "/bid_window_ms"],
    ["a window too short", { policy: "contract-net", bid_window_ms: 9 }, "/bid_window_ms"],
    ["a window too long", { policy: "contract-net", bid_window_ms: 60_001 }, "/bid_window_ms"],
    ["a policy that does not exist", { policy: "auction" }, "/policy"],
  ])("for %s", async (_, body, pointer) => {
    const space = await server.newNamespace();
    const answer = await space.call({ method: "PUT", path: "/v1/capabilities/work/allocation", body });
    expect([answer.body.code, answer.body.errors?.[0]?.pointer]).toEqual(["REQUEST_INVALID", pointer]);
  });
});
