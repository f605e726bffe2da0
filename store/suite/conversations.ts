import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import { readConversation } from "../../core/conversation.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { OpenTeam } from "../store.suite.ts";
import { age } from "./misbehaviour.ts";
import type { Team } from "./team.ts";

const HOUR_MS = 3_600_000;

export function conversationCases(open: OpenTeam): void {
  const members = ["ada", "bob", "eve"];

  async function start(team: Team, parameters: JsonObject = {}, key: string | null = null) {
    return team.store.conversations.start({
      namespace: team.namespace,
      id: uuidv7(),
      parameters: readConversation({ protocol: "vote", question: "Where to?", members, ...parameters } as never),
      by: "ann",
      key,
    });
  }

  const say = (team: Team, id: string, from: string, type: string, body: Json = {}, messageId = uuidv7()) =>
    team.store.conversations.say(team.namespace, id, { from, id: messageId, type, body });
  const find = async (team: Team, id: string) => (await team.store.conversations.find(team.namespace, id))!;
  const inbox = async (team: Team, name: string) => {
    const [page] = await team.store.agentData.inboxes([{ namespace: team.namespace, name, limit: 100 }]);
    return page!.messages;
  };
  const transcript = (team: Team, id: string) =>
    team.store.conversations.transcript(team.namespace, id, { after: 0, limit: 1_000 });
  it("begins, tells its members in their inboxes, hears them and ends", async () => {
    const team = await open();
    const { id, status, state } = await start(team);
    expect([status, state!.awaited.map(({ member }) => member)]).toEqual(["open", members]);
    const [call] = await inbox(team, "ada");
    expect(call).toMatchObject({
      from: { kind: "system" },
      type: "call",
      conversation: id,
      body: {
        protocol: "vote",
        seq: 1,
        from: null,
        expects: { types: ["vote", "abstain"] },
        body: { topic: "Where to?" },
      },
    });
    for (const name of ["ada", "bob"]) {
      expect(await say(team, id, name, "vote", { choice: "south" })).toEqual({ result: "accepted" });
    }
    expect(await say(team, id, "eve", "vote", { choice: "north" })).toEqual({ result: "accepted" });
    const ended = await find(team, id);
    expect(ended).toMatchObject({
      status: "completed",
      endedAt: expect.any(Date),
      state: { outcome: { status: "completed", result: { winner: "south" } } },
    });
    const entries = await transcript(team, id);
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.filter(({ from }) => from !== null).map(({ from, type }) => [from, type])).toEqual(
      members.map((name) => [name, "vote"]),
    );
    expect((await inbox(team, "bob")).map(({ type }) => type)).toEqual(["call", "ended"]);
  });

  it("says why it does not take what somebody says, and remembers that, too", async () => {
    const team = await open();
    const { id } = await start(team);
    const refused = (reason: string, code: string) => ({
      result: "refused",
      refusal: expect.objectContaining({ reason, code }),
    });
    expect(await say(team, id, "ada", "shout")).toEqual(refused("malformed", "CONVERSATION_MESSAGE_INVALID"));
    expect(await say(team, id, "ada", "vote", { choice: "x", from: "bob" })).toEqual(
      refused("forging", "CONVERSATION_SENDER_FORGED"),
    );
    expect(await say(team, id, "ada", "vote", { choice: "south" }, "one")).toEqual({ result: "accepted" });
    expect(await say(team, id, "ada", "vote", { choice: "north" }, "one")).toEqual({ result: "repeated" });
    expect(await say(team, id, "ada", "vote", { choice: "north" })).toEqual(
      refused("out_of_turn", "CONVERSATION_OUT_OF_TURN"),
    );
    expect((await transcript(team, id)).flatMap(({ misbehaviour }) => misbehaviour ?? [])).toEqual([
      "malformed",
      "forging",
      "out_of_turn",
    ]);
    expect((await find(team, id)).state!.members[0]).toMatchObject({ name: "ada", strikes: 3 });
  });

  it("is not there for who is no member, and in no other namespace", async () => {
    const team = await open();
    const { id } = await start(team);
    expect(await say(team, id, "mallory", "vote", { choice: "x" })).toBeUndefined();
    expect(await team.store.conversations.leave(team.namespace, id, "mallory")).toMatchObject({ status: "open" });
    expect(await team.store.conversations.find("another", id)).toBeUndefined();
    expect(
      await team.store.conversations.say("another", id, { from: "ada", id: "1", type: "vote", body: {} }),
    ).toBeUndefined();
    expect(await team.store.conversations.cancel("another", id, "no")).toBeUndefined();
    expect(await team.store.conversations.transcript("another", id, { after: 0, limit: 9 })).toEqual([]);
    expect((await transcript(team, id)).length).toBe(1);
  });

  it("goes on by time alone when members are silent, and after whoever was at it has gone", async () => {
    const team = await open();
    const { id } = await start(team, { turn_deadline: "10s" });
    await say(team, id, "ada", "vote", { choice: "south" });
    await say(team, id, "bob", "vote", { choice: "south" });
    expect((await find(team, id)).status).toBe("open");
    await age(team, id, 11_000);
    await team.store.conversations.tick(1_000);
    expect(await find(team, id)).toMatchObject({
      status: "completed",
      state: { outcome: { result: { winner: "south" } } },
    });
    expect((await transcript(team, id)).at(-2) ?? {}).toMatchObject({ from: "eve", misbehaviour: "silent" });
    expect(await say(team, id, "eve", "vote", { choice: "north" })).toMatchObject({ refusal: { reason: "finished" } });
  });

  it("goes on without who leaves, and ends when it is cancelled", async () => {
    const team = await open();
    const { id } = await start(team);
    const left = await team.store.conversations.leave(team.namespace, id, "eve");
    expect(left!.state!.members.map(({ presence }) => presence)).toEqual(["present", "present", "left"]);
    const cancelled = await team.store.conversations.cancel(team.namespace, id, "enough");
    expect(cancelled).toMatchObject({ status: "cancelled", state: { outcome: { reason: "enough" } } });
    expect(await team.store.conversations.cancel(team.namespace, id, "again")).toEqual(cancelled);
  });

  it("is started once under a key, and listed, to its members and others", async () => {
    const team = await open();
    const one = await start(team, {}, "key");
    expect((await start(team, {}, "key")).id).toBe(one.id);
    const other = await start(team, { members: [{ name: "ada", weight: 2 }, "zoe", "kim"] });
    const list = async (filter: object) =>
      (await team.store.conversations.list(team.namespace, filter)).data.map(({ id }) => id);
    expect(await list({})).toEqual([other.id, one.id]);
    expect(await list({ member: "ada" })).toEqual([other.id, one.id]);
    expect(await list({ member: "ada", limit: 1 })).toEqual([other.id]);
    expect(await list({ member: "bob" })).toEqual([one.id]);
    await team.store.conversations.cancel(team.namespace, one.id, "enough");
    expect(await list({ status: "open" })).toEqual([other.id]);
    const page = await team.store.conversations.list(team.namespace, { limit: 1 });
    expect(await list({ cursor: page.nextCursor! })).toEqual([one.id]);
  });

  it("hears all that speak at once, each once", async () => {
    const team = await open();
    const many = Array.from({ length: 20 }, (_, index) => `m${index}`);
    const { id } = await start(team, { protocol: "request-reply", members: many });
    const answers = await Promise.all(many.map((name) => say(team, id, name, "reply", { content: name })));
    expect(answers).toEqual(many.map(() => ({ result: "accepted" })));
    const { state } = await find(team, id);
    const { replies } = (state!.outcome as unknown as { result: { replies: { member: string }[] } }).result;
    expect(replies.map(({ member }) => member).toSorted()).toEqual(many.toSorted());
  });

  it("is the work of a task, which completes with its result", async () => {
    const team = await open();
    const task = { capability: "conversation.vote", input: { question: "{{ inputs.q }}", members } };
    const runId = await team.submit(
      { ask: task, after: { needs: ["ask"], input: "{{ tasks.ask.output.result.winner }}" } },
      { inputs: { q: "Where to?" } },
    );
    await team.settle();
    expect((await team.task(runId, "ask")).status).toBe("waiting");
    await team.store.conversations.tick(1_000);
    const { progress } = await team.task(runId, "ask");
    const { conversation_id: id } = progress as { conversation_id: string };
    for (const name of members) await say(team, id, name, "vote", { choice: "south" });
    await team.settle();
    expect(await team.task(runId, "ask")).toMatchObject({
      status: "completed",
      output: { result: { winner: "south" }, ended_by: "protocol", conversation_id: id },
    });
    expect((await team.take(runId, "after")).input).toBe("south");
    expect(await find(team, id)).toMatchObject({ taskId: (await team.task(runId, "ask")).id });
  });

  it("is forgotten as long after its end as the policy says, but not before its task has what it came to", async () => {
    const team = await open();
    const end = async (id: string) => {
      for (const name of members) await say(team, id, name, "vote", { choice: "south" });
    };
    const [ended, open_] = [await start(team), await start(team)];
    await end(ended.id);
    const runId = await team.submit({ ask: { capability: "conversation.vote", input: { question: "?", members } } });
    await team.settle();
    await team.store.conversations.tick(1_000);
    const { progress } = await team.task(runId, "ask");
    const { conversation_id: asked } = progress as { conversation_id: string };
    await end(asked);
    const grow = (ms: number) =>
      team.sql.query(
        "/* the suite's */ update conversation set ended_at = ended_at - $2 * interval '1 millisecond' where namespace = $1",
        [team.namespace, ms],
      );
    const left = async () => {
      await team.store.upkeep.prune();
      const { data } = await team.store.conversations.list(team.namespace, {});
      return data.map(({ id }) => id).sort();
    };
    await grow(HOUR_MS);
    expect(await left()).toEqual([ended.id, open_.id, asked].sort());
    const keepMs = { completed: null, failed: null, cancelled: null, conversations: 2 * HOUR_MS };
    await team.store.history.setPolicy(team.namespace, { moveAfterMs: HOUR_MS, keepMs });
    expect(await left()).toEqual([ended.id, open_.id, asked].sort());
    await grow(HOUR_MS);
    expect(await left()).toEqual([open_.id, asked].sort());
    expect(await transcript(team, ended.id)).toEqual([]);
    await team.settle();
    expect(await team.task(runId, "ask")).toMatchObject({ status: "completed", output: { conversation_id: asked } });
    expect(await left()).toEqual([open_.id]);
    await team.store.history.removePolicy(team.namespace);
  });

  it("that fails, or cannot begin, fails its task", async () => {
    const team = await open();
    const runId = await team.submit(
      {
        none: { capability: "conversation.vote", input: { question: "{{ inputs.q }}", members: [] } },
        alone: { capability: "conversation.vote", input: { question: "Where to?", members, turn_deadline: "10s" } },
      },
      { inputs: { q: "Where to?" } },
    );
    await team.settle();
    expect((await team.task(runId, "none")).error).toMatchObject({ code: "CONVERSATION_INVALID" });
    await team.store.conversations.tick(1_000);
    const { conversation_id: id } = (await team.task(runId, "alone")).progress as { conversation_id: string };
    await age(team, id, 11_000);
    await team.store.conversations.tick(1_000);
    await team.settle();
    expect((await team.task(runId, "alone")).error).toMatchObject({
      code: "no_quorum",
      message: expect.stringContaining(id),
    });
  });

  it("is cancelled when the run that it is for is", async () => {
    const team = await open();
    const runId = await team.submit({
      ask: { capability: "conversation.vote", input: { question: "Where to?", members } },
    });
    await team.settle();
    await team.store.conversations.tick(1_000);
    const { conversation_id: id } = (await team.task(runId, "ask")).progress as { conversation_id: string };
    await team.store.runs.cancel(team.namespace, runId, "enough");
    await team.settle();
    await team.store.conversations.tick(1_000);
    expect((await find(team, id)).status).toBe("cancelled");
    expect((await inbox(team, "ada")).map(({ type }) => type)).toEqual(["call", "ended"]);
  });
}
