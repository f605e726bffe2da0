import { describe, expect, it } from "vitest";
import { createEventLog } from "./event-log.ts";

const message = (n: number) => ({ jsonrpc: "2.0" as const, method: "notifications/message", params: { n } });

describe("what was said on streams", () => {
  it("is told again of one stream of one session, in order, beyond the event that is named", async () => {
    const log = createEventLog();
    const [ann, bob] = [log.of({}), log.of({})];
    const ids: string[] = [];
    for (const n of [1, 2, 3]) {
      ids.push(await ann.storeEvent("a", message(n)));
      await ann.storeEvent("b", message(10 + n));
      await bob.storeEvent("a", message(100 + n));
    }
    const told: [string, unknown][] = [];
    const send = async (id: string, said: object) => void told.push([id, said]);
    expect(await ann.replayEventsAfter(ids[0]!, { send })).toBe("a");
    expect(told).toEqual([
      [ids[1], message(2)],
      [ids[2], message(3)],
    ]);
    expect([ann.knows(ids[0]!), bob.knows(ids[0]!)]).toEqual([true, false]);
    expect(await bob.getStreamIdForEventId!(ids[0]!)).toBeUndefined();
    await expect(bob.replayEventsAfter(ids[0]!, { send })).rejects.toThrow("not known");
  });

  it("goes, the oldest first, when there is too much, and with its session", async () => {
    const log = createEventLog(2_100);
    const [ann, bob] = [log.of({}), log.of({})];
    const first = await ann.storeEvent("a", message(1));
    const large = await bob.storeEvent("a", { ...message(2), params: { text: "x".repeat(1_500) } });
    const last = await ann.storeEvent("a", message(3));
    expect([ann.knows(first), bob.knows(large), ann.knows(last)]).toEqual([false, true, true]);
    bob.forget();
    expect([bob.knows(large), log.size]).toEqual([false, 1]);
    const others = createEventLog();
    expect(others.of({}).knows(await others.of({}).storeEvent("a", message(1)))).toBe(false);
    expect(last.split("-")[0]).not.toBe((await others.of({}).storeEvent("a", message(1))).split("-")[0]);
  });
});
