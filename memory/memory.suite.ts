/** What the memory port means, whatever it is kept in. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Refusal } from "../core/agent-data.ts";
import type { Json } from "../core/json.ts";
import { defaultLimits } from "../core/limits.ts";
import type { Beat, Memory, WorkingState, WorkingWrite } from "./memory.ts";

export interface TestMemory {
  memory: Memory;
  /** Another client of the same data. */
  other: Memory;
  /** Lets an agent be there, and answers its id; `heard` may then be asked about. */
  join(namespace: string): Promise<string>;
  /** As the server does on a heartbeat. */
  beat(beat: Beat): Promise<void>;
  close(): Promise<void>;
}

/** How many the suite writes under contention; 10,000 by hand (project_logs/2026-11-27-hub.md). */
const CONTENDED_WRITES = Number(process.env.SKEIN_CONTENDED_WRITES ?? 400);
const WRITERS = 8;

export function memorySuite({ name, open }: { name: string; open: () => Promise<TestMemory> }): void {
  describe(`memory in ${name}`, () => {
    let opened: TestMemory;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened?.close());

    const aName = () => `a-${randomUUID()}`;
    const write = (
      agent: string,
      document: Json | undefined,
      more: Partial<WorkingWrite> = {},
      namespace = "n",
    ): Promise<{ state?: WorkingState } | Refusal> =>
      opened.memory.write(namespace, agent, { document, ttlMs: 60_000, ...more });
    const written = async (...args: Parameters<typeof write>): Promise<WorkingState> => {
      const answer = await write(...args);
      if ("code" in answer || !answer.state) throw new Error(`It was not written: ${JSON.stringify(answer)}`);
      return answer.state;
    };
    const read = (agent: string, namespace = "n") => opened.memory.read(namespace, agent);
    const conflict = (text: string) => ({ code: "STATE_CONFLICT", message: expect.stringContaining(text) });

    it("keeps a state by namespace and name, for whoever asks, with its times", async () => {
      const [one, two] = [aName(), aName()];
      expect(await read(one)).toBeUndefined();
      const state = await written(one, { n: 1, geese: "grey 🪿", none: null });
      expect(state.document).toEqual({ n: 1, geese: "grey 🪿", none: null });
      expect(state.expiresAt.getTime() - state.updatedAt.getTime()).toBe(60_000);
      expect(await read(one)).toEqual(state);
      expect(await opened.other.read("n", one)).toEqual(state);
      await write(two, null);
      await write(one, "foreign", {}, "m");
      expect([(await read(two))?.document, (await read(one, "m"))?.document]).toEqual([null, "foreign"]);
      expect(await read(one)).toEqual(state);
    });

    it("has a greater revision after each write, also where the state was gone", async () => {
      const agent = aName();
      const revisions: number[] = [];
      for (let n = 0; n < 20; n++) revisions.push((await written(agent, n)).revision);
      expect(await write(agent, undefined)).toEqual({});
      expect(await read(agent)).toBeUndefined();
      revisions.push((await written(agent, "again", { ttlMs: 30 })).revision);
      await sleep(60);
      revisions.push((await written(agent, "once more")).revision);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
      expect(revisions.every(Number.isSafeInteger)).toBe(true);
    });

    it("writes only if the state is as it is expected", async () => {
      const agent = aName();
      expect(await write(agent, 1, { condition: { revision: 7 } })).toMatchObject(conflict("there is none"));
      const { revision } = await written(agent, 1, { condition: { revision: 0 } });
      expect(await write(agent, 2, { condition: { revision: 0 } })).toMatchObject(conflict(`has revision ${revision}`));
      expect(await write(agent, undefined, { condition: { revision: 7 } })).toMatchObject(conflict("revision 7"));
      const next = await written(agent, 2, { condition: { revision } });
      expect(await write(agent, 3, { condition: { revision } })).toMatchObject(conflict(`${next.revision}`));
      expect(await write(agent, undefined, { condition: { revision: next.revision } })).toEqual({});
      expect(await write(agent, 3, { condition: { revision: next.revision } })).toMatchObject(
        conflict("there is none"),
      );
      expect(await write(agent, undefined, { condition: { revision: 7 } })).toMatchObject(conflict("there is none"));
      expect(await write(agent, undefined)).toEqual({});
      expect((await written(agent, 3, { condition: { revision: 0 } })).document).toBe(3);
    });

    it("is gone when its time is over, for conditions as well, and lives on with each write", async () => {
      const agent = aName();
      await write(agent, 1, { ttlMs: 10_000 });
      await write(agent, 2, { ttlMs: 500 });
      expect((await read(agent))?.document).toBe(2);
      await expect.poll(() => read(agent)).toBeUndefined();
      expect(await written(agent, 3, { condition: { revision: 0 } })).toMatchObject({ document: 3 });
      await write(agent, 4, { ttlMs: 100 });
      await write(agent, 5);
      await sleep(150);
      expect((await read(agent))?.document).toBe(5);
    });

    it("writes once under one id, until it is written anew", async () => {
      const agent = aName();
      const writeId = randomUUID();
      const once = () => write(agent, 1, { condition: { revision: 0 }, writeId });
      const first = await once();
      expect(await once()).toEqual(first);
      await write(agent, 2);
      expect(await once()).toMatchObject({ code: "STATE_CONFLICT" });
      const removal = randomUUID();
      const { revision } = await written(agent, 3);
      const remove = () => write(agent, undefined, { condition: { revision }, writeId: removal });
      expect([await remove(), await remove()]).toEqual([{}, {}]);
    });

    it("takes no document that is too large", async () => {
      const agent = aName();
      expect(await write(agent, "x".repeat(defaultLimits.stateBytes))).toMatchObject({ code: "AGENT_DATA_TOO_LARGE" });
      const largest = "x".repeat(defaultLimits.stateBytes - 2);
      expect((await written(agent, largest)).document).toBe(largest);
    });

    it(`loses none of ${CONTENDED_WRITES} writes of ${WRITERS} writers to one another`, {
      timeout: 600_000,
    }, async () => {
      const agent = aName();
      let conflicts = 0;
      const count = async (memory: Memory): Promise<void> => {
        for (;;) {
          const state = await memory.read("n", agent);
          const answer = await memory.write("n", agent, {
            document: ((state?.document as number | undefined) ?? 0) + 1,
            ttlMs: 3_600_000,
            condition: { revision: state?.revision ?? 0 },
          });
          if (!("code" in answer)) return;
          conflicts += 1;
        }
      };
      const began = performance.now();
      await Promise.all(
        Array.from({ length: WRITERS }, async (_, n) => {
          for (let left = CONTENDED_WRITES / WRITERS; left > 0; left--)
            await count(n % 2 ? opened.memory : opened.other);
        }),
      );
      expect((await read(agent))?.document).toBe(CONTENDED_WRITES);
      if (process.env.SKEIN_CONTENDED_WRITES) {
        const seconds = (performance.now() - began) / 1000;
        console.log(
          `${name}: ${CONTENDED_WRITES} contended writes in ${seconds.toFixed(1)} s, ${conflicts} conflicts, none lost`,
        );
      }
    });

    it("knows what was heard of agents last, in the order asked, in their namespace alone", async () => {
      const [one, two] = [await opened.join("n"), await opened.join("n")];
      const load = { cpu: 0.5, queue: [1, 2] };
      const before = Date.now();
      await opened.beat({ namespace: "n", agentId: one, load: { cpu: 1 } });
      await opened.beat({ namespace: "n", agentId: one, load });
      await opened.beat({ namespace: "n", agentId: two, load: null });
      const presence = await opened.other.presence("n", [two, randomUUID(), one]);
      expect(presence.map((known) => known?.load)).toEqual([null, undefined, load]);
      expect(Math.abs(presence[2]!.lastSeenAt.getTime() - before)).toBeLessThan(30_000);
      expect(await opened.memory.presence("m", [one])).toEqual([undefined]);
      expect(await opened.memory.presence("n", [])).toEqual([]);
    });

    it("answers", () => opened.memory.ping());
  });
}
