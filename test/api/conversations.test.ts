/** Conversations over REST: who sees what, and what is refused. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Problem } from "../../core/protocol/common.ts";
import type { ConversationBody, TranscriptBody } from "../../core/protocol/conversations.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const members = ["ada", "bob"];
const sealed = { protocol: "auction", topic: "a goose", members };

async function newTeam(body: object = sealed) {
  const space = await server.newNamespace();
  const join = async (name: string) => {
    const made = await space.call<{ id: string; agent_token: string }>({
      path: "/v1/agents",
      body: { name, kind: "external", capabilities: [] },
    });
    return made.body.agent_token;
  };
  const [ada, bob, mallory] = [await join("ada"), await join("bob"), await join("mallory")];
  const { body: started, status } = await space.call<ConversationBody>({ path: "/v1/conversations", body });
  const at = `/v1/conversations/${started.id}`;
  const say = <T = Problem>(key: string, message: object) =>
    space.call<T>({ key, path: `${at}/messages`, body: message });
  return { space, ada, bob, mallory, started, status, at, say };
}

const transcriptOf = async (space: Namespace, at: string, key?: string) =>
  (await space.call<TranscriptBody>({ path: `${at}/transcript`, ...(key && { key }) })).body.data;

describe("a conversation", () => {
  it("keeps sealed bids from members, in the transcript, the picture and the result, and not from who holds a key", async () => {
    const { space, ada, bob, at, say } = await newTeam();
    expect((await say(ada, { type: "bid", body: { amount: 987654321 } })).status).toBe(201);
    const seen = async (key?: string) => {
      const texts = [
        JSON.stringify(await transcriptOf(space, at, key)),
        (await space.call({ path: `${at}/graph?format=svg`, ...(key && { key }) })).text,
        JSON.stringify((await space.call({ path: at, ...(key && { key }) })).body),
        JSON.stringify((await space.call({ path: "/v1/conversations", ...(key && { key }) })).body),
      ];
      return texts.map((text) => text.includes("987654321"));
    };
    expect(await seen(bob)).toEqual([false, false, false, false]);
    expect((await seen(ada)).slice(0, 2)).toEqual([true, true]);
    expect((await seen()).slice(0, 2)).toEqual([true, true]);
    await say(bob, { type: "bid", body: { amount: 50 } });
    const { body } = await space.call<ConversationBody>({ path: `${at}?wait=5` });
    expect(body).toMatchObject({ status: "completed", result: { winner: "ada", price: 50 } });
    expect((await seen(bob)).slice(0, 2)).toEqual([false, false]);
    const { body: told } = await space.call<ConversationBody>({ path: at, key: bob });
    expect(JSON.stringify(told.result)).not.toContain("987654321");
    expect((await transcriptOf(space, at, bob)).map(({ type }) => type)).toEqual(["call", "bid", "ended"]);
  });

  it("is not there for agents that are no members, for other namespaces, and without the scope", async () => {
    const { space, mallory, at } = await newTeam();
    const other = await server.newNamespace();
    const { body: weak } = await space.call<{ key: string }>({
      path: "/v1/keys",
      body: { name: "weak", scopes: ["runs:read"] },
    });
    for (const path of [at, `${at}/transcript`, `${at}/graph`]) {
      expect(await space.call({ path, key: mallory })).toMatchObject({
        status: 404,
        body: { code: "CONVERSATION_NOT_FOUND" },
      });
      expect(await other.call({ path })).toMatchObject({ status: 404, body: { code: "CONVERSATION_NOT_FOUND" } });
      expect((await space.call({ path, key: weak.key })).status).toBe(403);
    }
    for (const [path, body] of [
      ["messages", { type: "bid", body: { amount: 1 } }],
      ["leave", {}],
    ] as const) {
      expect((await space.call({ path: `${at}/${path}`, key: mallory, body })).status).toBe(404);
    }
    expect((await other.call({ path: `${at}/cancel`, body: {} })).status).toBe(404);
    expect((await space.call({ path: "/v1/conversations", key: mallory })).body).toMatchObject({ data: [] });
  });

  it("refuses what breaks its rules, by code, and tells of it in the transcript", async () => {
    const { space, ada, at, say } = await newTeam({ protocol: "vote", topic: "t", members, max_strikes: 3 });
    const codes = [];
    for (const message of [
      { type: "shout" },
      { type: "vote", body: { choice: "x", sender: "bob" } },
      { type: "vote", body: { choice: "x" }, id: "k" },
      { type: "vote", body: { choice: "y" }, id: "k" },
      { type: "vote", body: { choice: "y" } },
      { type: "vote", body: { choice: "y" } },
    ]) {
      const { status, body } = await say(ada, message);
      codes.push(body.code ?? status);
    }
    expect(codes).toEqual([
      "CONVERSATION_MESSAGE_INVALID",
      "CONVERSATION_SENDER_FORGED",
      201,
      201,
      "CONVERSATION_OUT_OF_TURN",
      "CONVERSATION_MEMBER_OUT",
    ]);
    const misbehaviour = (await transcriptOf(space, at)).filter((entry) => entry.misbehaviour !== null);
    expect(misbehaviour.map((entry) => entry.misbehaviour)).toEqual(["malformed", "forging", "out_of_turn"]);
    expect(misbehaviour[0]!.why).toContain("shout");
  });

  it("is started once under an Idempotency-Key, and refused whole when it is not valid", async () => {
    const { space } = await newTeam();
    const start = (body: object) =>
      space.call<{ id: string; code: string }>({
        path: "/v1/conversations",
        body,
        headers: { "idempotency-key": "once" },
      });
    const one = await start(sealed);
    expect((await start(sealed)).body.id).toBe(one.body.id);
    expect((await start({ ...sealed, topic: "two geese" })).body.code).toBe("IDEMPOTENCY_KEY_REUSED");
    const { body, status } = await space.call<Problem>({
      path: "/v1/conversations",
      body: { protocol: "vote", members: [] },
    });
    expect([status, body.code]).toEqual([422, "CONVERSATION_INVALID"]);
    expect((await space.call<{ data: unknown[] }>({ path: "/v1/conversations" })).body.data).toHaveLength(2);
  });
});
