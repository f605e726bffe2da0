import { randomUUID } from "node:crypto";
import { type ErrorCode, SkeinError } from "../../../core/errors.ts";
import { equal, refused } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";

const WRITERS = 4;
const WRITES = 5;

export const agentState: Scenario = {
  name: "agent-state",
  title: "An agent has one document as its state; written under its revision, no update is lost",
  async play({ unique, join, step }) {
    const agent = await join(unique);
    const { state } = agent.data;

    step("write a state where there is none");
    await refused("to read what is not there", "STATE_NOT_FOUND", state.read());
    const begun = await state.write({ count: 0 }, { ifRevision: 0 });
    await refused("to begin again", "STATE_CONFLICT", state.write({ count: 0 }, { ifRevision: 0 }));

    step("count, many at once, each under the revision that it has read");
    await Promise.all(Array.from({ length: WRITERS }, () => countTo(agent, WRITES)));
    const counted = await state.read();
    equal("the count", counted.document, { count: WRITERS * WRITES });
    equal("the number of writes since", counted.revision - begun.revision, WRITERS * WRITES);

    step("write under a revision that has passed");
    await refused("a stale revision", "STATE_CONFLICT", state.write("late", { ifRevision: begun.revision }));
    equal("the document", (await state.read()).document, counted.document);

    step("repeat a write whose answer might have been lost");
    const writeId = randomUUID();
    const written = await state.write("once", { writeId });
    equal("the answer to the same write", (await state.write("once", { writeId })).revision, written.revision);

    step("take it away");
    await state.delete({ ifRevision: written.revision });
    await refused("to read what is gone", "STATE_NOT_FOUND", state.read());

    step("keep a working state beside it, which goes by itself");
    const { working } = agent.data;
    const draft = await working.write({ page: 3 }, { ttl: "1m" });
    await refused("a stale revision", "STATE_CONFLICT", working.write({ page: 4 }, { ifRevision: draft.revision - 1 }));
    equal("the working state", (await working.read()).document, { page: 3 });
    await working.write({ page: 5 }, { ttl: "1s" });
    await gone("STATE_NOT_FOUND", () => working.read());
  },
};

/** Reads, decides and writes; what somebody else wrote meanwhile is read again. */
async function countTo({ data: { state } }: Member, times: number): Promise<void> {
  for (let written = 0; written < times; ) {
    const { document, revision } = await state.read();
    const { count } = document as { count: number };
    try {
      await state.write({ count: count + 1 }, { ifRevision: revision });
      written++;
    } catch (error) {
      if (!(error instanceof SkeinError) || error.code !== "STATE_CONFLICT") throw error;
    }
  }
}

const LOOK_AGAIN_MS = 200;

/** Resolves when reading is refused with `code`. */
async function gone(code: ErrorCode, read: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await read();
    } catch (error) {
      if (error instanceof SkeinError && error.code === code) return;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
