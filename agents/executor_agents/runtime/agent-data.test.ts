import { describe, expect, it } from "vitest";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { agentDataOf, serverData } from "./agent-data.ts";
import { attemptOver, lease, lost, refusal } from "./attempt.suite.ts";
import { stopAttempt } from "./attempt.ts";
import { reportOf } from "./outcome.ts";

const none = refusal(404, "STATE_NOT_FOUND");
const state = (document: unknown, revision: number) => () =>
  Response.json({ document, revision, updated_at: "", expires_at: null, writer: null });

/** An attempt whose server gives these answers, one after another; what it was asked. */
function attemptWith(...answers: (() => Response)[]) {
  const asked: { method: string; path: string; condition?: string; body?: { document: unknown; write_id?: string } }[] =
    [];
  const send: typeof fetch = async (url, init) => {
    const headers = init!.headers as Record<string, string>;
    const condition = headers["if-match"] ?? headers["if-none-match"];
    asked.push({
      method: init!.method!,
      path: new URL(String(url)).pathname,
      ...(condition !== undefined && { condition }),
      ...(init!.body !== undefined && { body: JSON.parse(String(init!.body)) }),
    });
    return answers.shift()!();
  };
  const attempt = attemptOver(send);
  const reported = () => reportOf(attempt, { output: null, bytes: 4 }).item.effects;
  return { attempt, data: agentDataOf(attempt, serverData(attempt)), asked, reported };
}

describe("the state", () => {
  it("is read from the server, also when an answer is lost, and undefined where there is none", async () => {
    const { data, asked } = attemptWith(lost, state({ n: 1 }, 3), none);
    expect(await data.state.get()).toEqual({ n: 1 });
    expect(await data.state.get()).toBeUndefined();
    expect(asked[0]).toEqual({ method: "GET", path: "/v1/agents/agent/state" });
    expect(asked).toHaveLength(3);
  });

  it("is set with the report, on condition that it is as it was read", async () => {
    const { data, reported } = attemptWith(state(1, 3));
    data.state.set("blind");
    expect(reported()).toEqual({ state: { document: "blind" } });
    expect(await data.state.get()).toBe("blind");
    const other = attemptWith(state(1, 3), none);
    await other.data.state.get();
    other.data.state.set({ n: 2 }, { ttl: "1h" });
    expect(other.reported()).toEqual({ state: { document: { n: 2 }, ttl: "1h", if_revision: 3 } });
    other.data.state.delete();
    expect(other.reported()).toEqual({ state: { if_revision: 3 } });
    expect(await other.data.state.get()).toBeUndefined();
    const first = attemptWith(none);
    await first.data.state.get();
    first.data.state.set(1);
    expect(first.reported()).toEqual({ state: { document: 1, if_revision: 0 } });
  });

  it("is a copy: what the handler does to the document afterwards is not reported", () => {
    const { data, reported } = attemptWith();
    const document = { list: [1] };
    data.state.set(document);
    document.list.push(2);
    expect(reported()).toEqual({ state: { document: { list: [1] } } });
  });

  it("is updated at once, anew when somebody else was faster, once when an answer is lost", async () => {
    const { data, asked, reported } = attemptWith(none, refusal(412, "STATE_CONFLICT"), state(5, 2), lost, state(6, 3));
    expect(await data.state.update<number>((n = 0) => n + 1)).toBe(6);
    expect(asked.map(({ method, condition, body }) => [method, condition, body?.document])).toEqual([
      ["GET", undefined, undefined],
      ["PUT", "*", 1],
      ["GET", undefined, undefined],
      ["PUT", '"2"', 6],
      ["PUT", '"2"', 6],
    ]);
    expect(asked[4]!.body!.write_id).toBe(asked[3]!.body!.write_id);
    expect(asked[1]!.body!.write_id).not.toBe(asked[3]!.body!.write_id);
    expect(reported()).toBeUndefined();
    data.state.set(7);
    expect(reported()).toEqual({ state: { document: 7, if_revision: 3 } });
    await expect(data.state.update(() => 8)).rejects.toThrow("has set the state");
  });
});

describe("memory and messages", () => {
  it("go with the report", () => {
    const { data, reported } = attemptWith();
    expect(reported()).toBeUndefined();
    data.memory.add("thought", { so: "be it" }, { ttl: "7d" });
    data.memory.add("seen", 1);
    data.send("clerk", "hello");
    data.send("clerk", 2, {
      type: "ask",
      conversation: "c",
      replyTo: lease.task_id,
      ttl: "1m",
      mustRoute: true,
      key: "k",
    });
    expect(reported()).toEqual({
      memory: [
        { type: "thought", content: { so: "be it" }, ttl: "7d" },
        { type: "seen", content: 1 },
      ],
      messages: [
        { to: "clerk", body: "hello" },
        {
          to: "clerk",
          body: 2,
          type: "ask",
          conversation: "c",
          reply_to: lease.task_id,
          ttl: "1m",
          must_route: true,
          key: "k",
        },
      ],
    });
  });

  it("are listed by the server", async () => {
    const { data, asked } = attemptWith(() => Response.json({ data: [], next_cursor: null }));
    expect(await data.memory.list({ type: "thought", search: "geese" })).toEqual({ data: [], next_cursor: null });
    expect(asked[0]!.path).toBe("/v1/agents/agent/memory/thought");
  });

  it("are read from the inbox, and acknowledged with the report", async () => {
    const { data, asked, reported } = attemptWith(lost, () => Response.json({ messages: [{ id: "m1", body: 1 }] }));
    expect(await data.inbox.read({ wait: 30 })).toEqual([{ id: "m1", body: 1 }]);
    expect(asked.map(({ path }) => path)).toEqual(["/v1/agents/agent/inbox", "/v1/agents/agent/inbox"]);
    data.inbox.acknowledge([]);
    expect(reported()).toBeUndefined();
    data.inbox.acknowledge(["m1", "m2"]);
    data.inbox.acknowledge(["m1"]);
    expect(reported()).toEqual({ acknowledge: ["m1", "m2"] });
  });

  it.each<[string, (data: ReturnType<typeof attemptWith>["data"]) => void, string]>([
    ["what is not JSON", (data) => data.send("a", (() => 1) as never), "OUTPUT_UNSTORABLE"],
    ["what cannot be stored", (data) => data.state.set({ x: "\u0000" }), "OUTPUT_UNSTORABLE"],
    ["more than a report carries", (data) => data.memory.add("t", "x".repeat(1_048_576)), "AGENT_DATA_TOO_LARGE"],
    [
      "more entries than a report carries",
      (data) => {
        for (let n = 0; n <= 100; n++) data.memory.add("t", n);
      },
      "AGENT_DATA_TOO_LARGE",
    ],
  ])("refuse %s, and that for good", (_, act, code) => {
    const { data } = attemptWith();
    expect(() => act(data)).toThrow(expect.objectContaining({ code }));
    expect(() => act(data)).toThrow(NonRetryableError);
  });
});

it("fails as the server refuses: for good what cannot help, not what may pass", async () => {
  const failing = async (code: string, status: number) => {
    const { data } = attemptWith(refusal(status, code));
    return data.state.get().catch((error: unknown) => error);
  };
  expect(await failing("REQUEST_INVALID", 400)).toBeInstanceOf(NonRetryableError);
  const forgotten = await failing("UNAUTHENTICATED", 401);
  expect(forgotten).toBeInstanceOf(TaskError);
  expect(forgotten).not.toBeInstanceOf(NonRetryableError);
});

it("takes nothing more when the attempt is over", async () => {
  const { attempt, data } = attemptWith();
  attempt.isEnded = true;
  for (const late of [
    () => data.state.set(1),
    () => data.state.delete(),
    () => data.send("a", 1),
    () => data.inbox.acknowledge(["m"]),
  ]) {
    expect(late).toThrow("The attempt is over");
  }
  await expect(data.state.update(() => 1)).rejects.toThrow("The attempt is over");
  const reason = new Error("cancelled");
  stopAttempt(attempt, reason);
  expect(() => data.memory.add("t", 1)).toThrow(reason);
});
