/** Every protocol with every misbehaviour, kept by the store: it ends, nobody else pays, and the transcript shows it. */
import { uuidv7 } from "uuidv7";
import { describe, expect, it } from "vitest";
import { type ProtocolName, protocolNames } from "../../core/conversation/state.ts";
import { readConversation } from "../../core/conversation.ts";
import { actedMembers, actOut, type Scene } from "../../core/experiment/acted.suite.ts";
import type { FailureKind } from "../../core/experiment/behaviour.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

const shown: Partial<Record<FailureKind, string>> = {
  silent: "silent",
  // Its time passes; what it then says is refused as late, or, when it was given the floor anew, taken.
  late: "silent",
  interrupter: "out_of_turn",
  flooder: "flooding",
  forger: "forging",
};

/** Of whom nothing is taken. */
const unheard: readonly FailureKind[] = ["silent", "forger"];
/** Where the first member is the one that everything begins with. */
const led: readonly ProtocolName[] = ["supervisor", "gossip"];

export function misbehaviourCases(open: OpenTeam): void {
  describe.each(protocolNames)("under %s", (protocol) => {
    it("all speak as they may", async () => {
      const { status, transcript } = await acted(await open(), protocol);
      expect([status, transcript.flatMap(({ misbehaviour }) => misbehaviour ?? [])]).toEqual(["completed", []]);
    });

    it.each(Object.entries(shown))("a member that is a %s one", async (kind, misbehaviour) => {
      const team = await open();
      const failing = { member: "ada", kind: kind as FailureKind };
      const { status, transcript } = await acted(team, protocol, failing);
      const flaws = transcript.filter((entry) => entry.misbehaviour !== null);
      expect(status).toBe(led.includes(protocol) && unheard.includes(failing.kind) ? "failed" : "completed");
      expect(new Set(flaws.map(({ from }) => from))).toEqual(new Set(["ada"]));
      expect(flaws.map((entry) => entry.misbehaviour)).toContain(misbehaviour);
      const taken = transcript.filter(({ from, misbehaviour }) => from === "ada" && misbehaviour === null);
      if (failing.kind !== "late") expect(taken.length > 0).toBe(!unheard.includes(failing.kind));
      expect(transcript.map(({ seq }) => seq)).toEqual(transcript.map((_, index) => index + 1));
    });
  });
}

async function acted(team: Team, protocol: ProtocolName, failing?: { member: string; kind: FailureKind }) {
  const { conversations, agentData } = team.store;
  const { namespace } = team;
  const parameters = readConversation({
    protocol,
    topic: "Where to?",
    members: actedMembers,
    turn_deadline: "10s",
    flood_limit: 10,
    max_strikes: 100,
  });
  const { id } = await conversations.start({ namespace, id: uuidv7(), parameters, by: "ann", key: null });
  const find = async () => (await conversations.find(namespace, id))!;
  const scene: Scene = {
    read: async (name, after) => (await agentData.inboxes([{ namespace, name, limit: 1_000, after }]))[0]!.messages,
    say: (from, messageId, speech) => conversations.say(namespace, id, { from, id: messageId, ...speech }),
    isOver: async () => (await find()).status !== "open",
    async letTimePass() {
      const { turnEndsAt, endsAt, at } = (await find()).state!;
      await age(team, id, (turnEndsAt ?? endsAt) - at + 1);
      await conversations.tick(1_000);
    },
  };
  await actOut(scene, failing);
  const transcript = await conversations.transcript(namespace, id, { after: 0, limit: 1_000 });
  return { status: (await find()).status, transcript };
}

/** Moves all that the conversation knows of time into the past. */
export async function age(team: Team, id: string, ms: number): Promise<void> {
  await team.sql.query(
    `update conversation set due_at = due_at - $2 * interval '1 millisecond',
       state = (jsonb_set(jsonb_set(jsonb_set(state::jsonb, '{at}', to_jsonb((state ->> 'at')::float8 - $2)),
         '{endsAt}', to_jsonb((state ->> 'endsAt')::float8 - $2)),
         '{turnEndsAt}', coalesce(to_jsonb((state ->> 'turnEndsAt')::float8 - $2), 'null')))::json
     where id = $1`,
    [id, ms],
  );
}
