/** docs/asyncapi.yaml is an AsyncAPI document, and what the code encodes is what it describes. */
import officialSchema from "@asyncapi/specs/schemas/3.0.0.json" with { type: "json" };
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { eventsOf } from "../agents/orchestrator_agent/announce.ts";
import { changeNoticesOf, newsIn, noticesOf } from "../agents/orchestrator_agent/notices.ts";
import type { Fact } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { DeliveredMessage } from "../store/store.ts";
import { encodeHint } from "../transport/transport.ts";
import { asyncApi, flawsOf } from "./asyncapi.suite.ts";

const [task, run] = ["019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071", "019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6070"];

function officialFlaws(document: unknown): string[] {
  // The document brings its own copy of the meta-schema.
  const ajv = addFormats.default(new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false }));
  const validate = ajv.compile(officialSchema);
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe("docs/asyncapi.yaml", () => {
  it("is valid by the official schema of AsyncAPI 3.0, which finds what is not", () => {
    expect(officialFlaws(asyncApi)).toEqual([]);
    expect(officialFlaws({ ...asyncApi, chanels: {} })).not.toEqual([]);
    const { hints, ...channels } = structuredClone(asyncApi.channels);
    hints!.bindings.amqp.exchange!.type = "directly";
    expect(officialFlaws({ ...asyncApi, channels: { hints, ...channels } })).not.toEqual([]);
  });

  it("has examples that are as it says", () => {
    const examples = Object.entries(asyncApi.components.messages).flatMap(([name, { examples = [] }]) =>
      examples.map(({ payload }) => ({ name, payload })),
    );
    expect(examples.map(({ name }) => name)).toEqual(["hint", "event", "notice", "change"]);
    for (const { name, payload } of examples) expect(flawsOf(name, "payload", payload)).toEqual([]);
  });

  it("describes the hints that are encoded, and nothing else", () => {
    const hint = JSON.parse(encodeHint({ taskId: task, runId: run, capability: "core.echo", attemptHint: 1 }));
    expect(flawsOf("hint", "payload", hint)).toEqual([]);
    expect(flawsOf("hint", "payload", { ...hint, v: 2 })).toEqual(["/v must be equal to constant"]);
    expect(flawsOf("hint", "payload", { ...hint, input: 1 })).toEqual([" must NOT have additional properties"]);
    expect(flawsOf("hint", "payload", {})).toHaveLength(5);
  });

  it("describes the notices of messages, small and large, to one, some and all", () => {
    const message: DeliveredMessage = {
      namespace: "default",
      id: task,
      from: { kind: "client", name: "boss" },
      to: "clerk",
      type: "told",
      body: { read: 12 },
      conversation: null,
      replyTo: run,
      writer: { taskId: task, attempt: 1 },
      inboxes: ["clerk"],
    };
    const notices = noticesOf([
      message,
      { ...message, to: { topic: "geese" }, body: "x".repeat(4_096), writer: null },
      { ...message, body: "again" },
      { ...message, to: { broadcast: true }, inboxes: Array.from({ length: 1_001 }, (_, n) => `n${n}`) },
    ]);
    const keys = ["agent.default.clerk", "topic.default.geese", "broadcast.default"];
    expect(notices.map(({ routingKey }) => routingKey)).toEqual(keys);
    for (const { body } of notices) expect(flawsOf("notice", "payload", body)).toEqual([]);
    const told = notices.map(({ body }) => body as unknown as { inboxes?: string[]; messages: { body?: Json }[] });
    expect(told.map(({ messages }) => messages.map(({ body }) => body))).toEqual([
      [{ read: 12 }, "again"],
      [undefined],
      [{ read: 12 }],
    ]);
    expect(told.map(({ inboxes }) => inboxes)).toEqual([["clerk"], ["clerk"], undefined]);
    expect(notices.map(({ body }) => newsIn(body).inboxes.length)).toEqual([1, 1, 0]);
  });

  it("describes the notices of changes", () => {
    const changes = [
      { kind: "memory", namespace: "default", name: "plans" },
      { kind: "registry", namespace: "default", name: "" },
    ] as const;
    const notices = changeNoticesOf(changes);
    expect(notices.map(({ routingKey }) => routingKey)).toEqual(["memory.default.plans", "registry.default"]);
    for (const { body } of notices) expect(flawsOf("change", "payload", body)).toEqual([]);
    expect(notices.map(({ body }) => newsIn(body))).toEqual([
      { namespace: "default", inboxes: [], scopes: ["plans"], registry: false },
      { namespace: "default", inboxes: [], scopes: [], registry: true },
    ]);
  });

  it("describes every event that is made of facts, and each routing key", () => {
    const { taskFact, runFact } = asyncApi.components.schemas;
    const typesOf = (schema: typeof taskFact) =>
      (schema as { properties: { type: { enum: string[] } } }).properties.type.enum;
    const facts = [
      ...typesOf(taskFact).map((type) => ({
        type,
        task_id: task,
        key: "a",
        attempt: 1,
        ...(type === "task.kept" && { status: "failed" }),
      })),
      ...typesOf(runFact).map((type) => ({ type, tasks: 1, error: { code: "a", message: "b", task: "a" } })),
    ] as Fact[];
    const events = eventsOf([{ runId: run, namespace: "default", facts, mayBeFinished: false, needsUpkeep: false }]);
    for (const { body } of events) expect(flawsOf("event", "payload", body)).toEqual([]);
    const told = events.flatMap(({ body }) => (body as unknown as { facts: Fact[] }).facts.map(({ type }) => type));
    expect(told.sort()).toEqual(facts.map(({ type }) => type).sort());
    const { taskEvents, runEvents } = asyncApi.channels;
    const keys = [
      ...taskEvents!.parameters!.status!.enum!.map((status) => `run.${run}.task.${status}`),
      ...runEvents!.parameters!.status!.enum!.map((status) => `run.${run}.${status}`),
    ];
    expect(events.map(({ routingKey }) => routingKey).sort()).toEqual(keys.sort());
  });
});
