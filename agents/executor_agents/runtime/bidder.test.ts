import { describe, expect, it } from "vitest";
import { z } from "zod";
import { SkeinError } from "../../../core/errors.ts";
import type { AnnouncementBody, BidsBody } from "../../../core/protocol/bids.ts";
import { defineExecutor, type Executor } from "../../../sdk/executor.ts";
import { collectLines, deferred, eventually } from "../running.suite.ts";
import { startBidder } from "./bidder.ts";
import type { Membership, Session } from "./membership.ts";
import { createSlots } from "./slots.ts";

const announced = (capability: string, more: Partial<AnnouncementBody> = {}): AnnouncementBody => ({
  task_id: capability,
  run_id: "r",
  key: "k",
  capability,
  attempt: 1,
  round: 1,
  window_left_ms: 500,
  input: null,
  ...more,
});

/** A server that answers each look with the next of `looks`, and then none until it is broken off. */
function marketOf(looks: (AnnouncementBody[] | Error)[]) {
  const sent: BidsBody["bids"][] = [];
  const forgotten = deferred();
  const announcements = async (_wait: number, signal?: AbortSignal) => {
    const next = looks.shift();
    if (next instanceof Error) throw next;
    if (next) return { announcements: next };
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  };
  const client = { bid: async ({ bids }: BidsBody) => void sent.push(bids) };
  const session = { client, patientClient: { announcements } } as unknown as Session;
  const membership = { session: async () => session, forgotten: () => forgotten.resolve() } as unknown as Membership;
  return { sent, membership, forgotten: forgotten.promise };
}

function start(membership: Membership, executors: Executor[]) {
  const { log, lines } = collectLines();
  const byCapability = new Map(executors.map((one) => [one.capability, one]));
  const bidder = startBidder({ executors: byCapability, slots: createSlots(4), running: () => 3, membership, log });
  return { bidder, lines };
}

const run = () => null;

describe("the bidder", () => {
  it("answers all that is announced at once: bids, and declines what it cannot or will not do", async () => {
    const input = z.object({ n: z.number() });
    const executors = [
      defineExecutor({ capability: "typed", input, run, bid: (task) => task.input.n * task.running + task.slots }),
      defineExecutor({ capability: "picky", run, bid: () => null }),
      defineExecutor({ capability: "odd", run, bid: () => Number.NaN }),
      defineExecutor({
        capability: "broken",
        run,
        bid: () => {
          throw new Error("no idea");
        },
      }),
    ] as Executor[];
    const tasks = [
      announced("typed", { input: { n: 2 }, round: 5 }),
      announced("typed", { task_id: "bad", input: {} }),
      announced("picky"),
      announced("odd"),
      announced("broken"),
      announced("strange"),
    ];
    const { sent, membership } = marketOf([tasks]);
    const { bidder, lines } = start(membership, executors);
    await eventually(() => expect(sent).toHaveLength(1));
    expect(sent[0]).toEqual([
      { task_id: "typed", round: 5, bid: 10 },
      { task_id: "bad", round: 1, bid: null },
      { task_id: "picky", round: 1, bid: null },
      { task_id: "odd", round: 1, bid: null },
      { task_id: "broken", round: 1, bid: null },
      { task_id: "strange", round: 1, bid: null },
    ]);
    expect(lines.map(({ message }) => message)).toEqual([
      expect.stringContaining('The input of "typed" is not valid'),
      expect.stringContaining("not NaN"),
      expect.stringContaining("no idea"),
    ]);
    await bidder!.close();
  });

  it("goes on after a failure, and registers again when the server has forgotten it", async () => {
    const executor = defineExecutor({ capability: "work", run, bid: () => 1 }) as Executor;
    const failures = [new SkeinError("SERVER_UNREACHABLE", "away"), new SkeinError("UNAUTHENTICATED", "who?")];
    const { sent, membership, forgotten } = marketOf([...failures, [announced("work")]]);
    const { bidder } = start(membership, [executor]);
    await forgotten;
    bidder!.change();
    await eventually(() => expect(sent).toEqual([[{ task_id: "work", round: 1, bid: 1 }]]));
    await bidder!.close();
  });

  it("is not there where nobody bids", () => {
    expect(start(marketOf([]).membership, [defineExecutor({ capability: "work", run })]).bidder).toBeUndefined();
  });
});
