import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import {
  defineExecutor,
  type ExecutorContext,
  NonRetryableError,
  RetryAfterError,
  TaskError,
} from "../../sdk/executor.ts";
import { startExecutor } from "./executor.ts";
import { collectLines, deferred, eventually, testBed } from "./running.suite.ts";

const bed = testBed();

/** Short, so that much happens; long enough for a machine that is busy with other tests. */
const LEASE_MS = 3_100;

const echo = defineExecutor({ capability: "echo", run: ({ input }) => input });

/** Runs until told otherwise; heeds its signal. */
function holding() {
  const signals: AbortSignal[] = [];
  const gate = deferred<string>();
  const executor = defineExecutor({
    capability: "hold",
    run: ({ signal }) => {
      signals.push(signal);
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      return Promise.race([gate.promise, aborted]);
    },
  });
  return { executor, signals, finish: gate.resolve };
}

/** Runs until told otherwise; does not heed its signal. */
function deaf() {
  const signals: AbortSignal[] = [];
  const gate = deferred<string>();
  const executor = defineExecutor({
    capability: "deaf",
    run: ({ signal }) => {
      signals.push(signal);
      return gate.promise;
    },
  });
  return { executor, signals, finish: gate.resolve };
}

describe("the agent", () => {
  it("registers with its contracts, and presents itself with its load", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor } = holding();
    const typed = defineExecutor({ capability: "typed", input: z.object({ n: z.number() }), run: () => 1 });
    await bed.executor(server, [executor, typed], { slots: 3, labels: { zone: "a" } });
    server.add("hold");
    expect(server.requests("/agents")[0]?.body).toMatchObject({
      door: "poll",
      slots: 3,
      labels: { zone: "a" },
      capabilities: [{ name: "hold" }, { name: "typed", input_schema: { type: "object" } }],
    });
    await eventually(() => expect(server.agents()[0]).toMatchObject({ load: { running: 1, slots: 3 } }));
  });

  it("registers again when the server has forgotten it, and goes on", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor, signals } = holding();
    const { running } = await bed.executor(server, [echo, executor], { slots: 2 });
    const first = running.agentId;
    server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    server.forgetAgents();
    const task = server.add("echo", "still here");
    await eventually(() => expect(task.report?.output).toBe("still here"));
    expect(running.agentId).not.toBe(first);
    expect(signals[0]?.aborted).toBe(true);
  });

  it("refuses to start without executors, or with two for one capability", async () => {
    const server = await bed.server();
    const options = { client: { url: server.url }, logger: collectLines().log };
    await expect(startExecutor({ ...options, executors: [] })).rejects.toMatchObject({ code: "CAPABILITY_INVALID" });
    await expect(startExecutor({ ...options, executors: [echo, echo] })).rejects.toMatchObject({
      code: "CAPABILITY_CONFLICT",
    });
  });

  it("says that the server cannot be reached at the start", async () => {
    const server = await bed.server();
    await server.stop();
    const starting = startExecutor({ client: { url: server.url }, executors: [echo], logger: collectLines().log });
    await expect(starting).rejects.toMatchObject({ code: "SERVER_UNREACHABLE" });
    await server.start();
  });
});

describe("taking work by long-poll", () => {
  it("runs a task and reports its output with the times of delivery and start", async () => {
    const server = await bed.server();
    await bed.executor(server, [echo]);
    const task = server.add("echo", { a: [1, "ü"] });
    await eventually(() => expect(task.status).toBe("completed"));
    expect(task.report?.output).toEqual({ a: [1, "ü"] });
    expect(Date.parse(task.report!.delivered_at!)).toBeLessThanOrEqual(Date.parse(task.report!.started_at!));
  });

  it("tells the handler all about its attempt", async () => {
    const server = await bed.server();
    const seen = deferred<unknown>();
    const curious = defineExecutor({
      capability: "curious",
      run: ({
        signal,
        log,
        progress,
        emit,
        spawn,
        usage,
        executors,
        artifacts,
        state,
        memory,
        inbox,
        send,
        ask,
        ...rest
      }) => seen.resolve({ ...rest, executors: [...executors.keys()], artifacts: Object.keys(artifacts) }),
    });
    const { running } = await bed.executor(server, [curious]);
    const task = server.add("curious", { x: 1 }, { timeoutMs: 1_234 });
    expect(await seen.promise).toEqual({
      input: { x: 1 },
      idempotencyKey: `key-${task.id}`,
      taskId: task.id,
      key: `task-${task.id.slice(0, 8)}`,
      runId: "00000000-0000-7000-8000-000000000000",
      attempt: 1,
      agentId: running.agentId,
      capability: "curious",
      timeoutMs: 1_234,
      executors: ["curious"],
      artifacts: ["read", "write", "list"],
    });
  });

  it("never runs more than its slots, and asks for no more", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    for (let i = 0; i < 7; i++) server.add("hold");
    await bed.executor(server, [executor], { slots: 3 });
    await eventually(() => expect(signals).toHaveLength(3));
    expect(server.requests("/claim").map(({ body }) => (body as { max: number }).max)).toEqual([3]);
    finish("done");
    await eventually(() => expect(server.tasks().every((task) => task.status === "completed")).toBe(true));
  });

  it("takes new work with the answer to a report when all slots were busy", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    for (let i = 0; i < 2; i++) server.add("hold");
    await bed.executor(server, [executor], { slots: 2 });
    await eventually(() => expect(signals).toHaveLength(2));
    const task = server.add("hold");
    const claims = server.requests("/claim").length;
    finish("done");
    await eventually(() => expect(task.status).toBe("completed"));
    expect(server.requests("/report")[0]?.body).toMatchObject({ claim: { max: 2 } });
    expect(task.claimedAt).toBeGreaterThan(0);
    expect(server.requests("/claim").length - claims).toBeLessThanOrEqual(1);
  });

  it("reports what finishes together in one request", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    for (let i = 0; i < 10; i++) server.add("hold");
    await bed.executor(server, [executor]);
    await eventually(() => expect(signals).toHaveLength(10));
    finish("done");
    await eventually(() => expect(server.tasks().every((task) => task.status === "completed")).toBe(true));
    expect(server.requests("/report").map(({ body }) => (body as { reports: [] }).reports.length)).toEqual([10]);
  });
});

describe("lost answers and failing servers", () => {
  it.each([
    ["the connection is cut after a claim took effect", { path: "/claim", cut: "after" as const, times: 2 }],
    ["the connection is cut before a claim is looked at", { path: "/claim", cut: "before" as const, times: 2 }],
    ["claims are answered 503", { path: "/claim", status: 503, times: 2 }],
    ["the connection is cut after a report took effect", { path: "/report", cut: "after" as const, times: 2 }],
    ["reports are answered 503", { path: "/report", status: 503, times: 2 }],
  ])("costs no attempt when %s", async (_, fault) => {
    const server = await bed.server();
    server.fail(fault);
    const task = server.add("echo", 1);
    await bed.executor(server, [echo]);
    await eventually(() => expect(task.status).toBe("completed"));
    expect(task.attempt).toBe(1);
    const ids = server.requests(fault.path).map(({ body }) => (body as { request_id: string }).request_id);
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
  });

  it("costs no attempt when the answer to a report that took new work is lost", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    server.add("hold");
    await bed.executor(server, [executor], { slots: 1 });
    await eventually(() => expect(signals).toHaveLength(1));
    const next = server.add("hold");
    server.fail({ path: "/report", cut: "after" });
    finish("done");
    await eventually(() => expect(next.status).toBe("completed"));
    expect(next.attempt).toBe(1);
    expect(server.tasks().every((task) => task.released === 0)).toBe(true);
  });

  it("goes on after the server was away", async () => {
    const server = await bed.server();
    await bed.executor(server, [echo]);
    const before = server.add("echo", 1);
    await eventually(() => expect(before.status).toBe("completed"));
    await server.stop();
    const after = server.add("echo", 2);
    await server.start();
    await eventually(() => expect(after.status).toBe("completed"));
  });

  it("gets the others through when the server refuses a report for one of them", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    const tasks = Array.from({ length: 9 }, () => server.add("hold"));
    const bad = tasks[4]!;
    await bed.executor(server, [executor]);
    await eventually(() => expect(signals).toHaveLength(9));
    server.fail({
      path: "/report",
      status: 422,
      code: "JSON_UNSTORABLE",
      containing: `${bad.id}","attempt":1,"lease_token":"${bad.token}","outcome":"completed`,
      times: 99,
    });
    finish("done");
    await eventually(() => expect(tasks.every((task) => task.report)).toBe(true));
    expect(tasks.filter((task) => task.status === "completed")).toHaveLength(8);
    expect(bad.report).toMatchObject({ outcome: "failed", error: { code: "JSON_UNSTORABLE", retryable: false } });
  });

  it("gets the others through when the server fails inside over one report, and keeps trying that one", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    const tasks = Array.from({ length: 5 }, () => server.add("hold"));
    const bad = tasks[1]!;
    await bed.executor(server, [executor]);
    await eventually(() => expect(signals).toHaveLength(5));
    server.fail({ path: "/report", status: 500, code: "INTERNAL", containing: bad.id, times: 1_000 });
    finish("done");
    await eventually(() => expect(tasks.filter((task) => task.status === "completed")).toHaveLength(4));
    server.heal();
    await eventually(() => expect(bad.status).toBe("completed"));
  });

  it("divides outputs that do not fit one report", async () => {
    const server = await bed.server();
    const large = defineExecutor({ capability: "large", run: () => "x".repeat(7 * 1_024 * 1_024) });
    const tasks = Array.from({ length: 4 }, () => server.add("large"));
    await bed.executor(server, [large]);
    await eventually(() => expect(tasks.every((task) => task.status === "completed")).toBe(true), 20_000);
    expect(server.requests("/report")).toHaveLength(2);
  });
});

describe("what handlers come to", () => {
  const unreadable = new Proxy(
    {},
    {
      get: () => {
        throw new Error("no");
      },
      getPrototypeOf: () => {
        throw new Error("no");
      },
    },
  );
  it.each<[string, () => unknown, object]>([
    [
      "throws an Error",
      () => {
        throw new Error("boom");
      },
      { code: "HANDLER_FAILED", message: "boom" },
    ],
    ["rejects", () => Promise.reject(new Error("later")), { code: "HANDLER_FAILED", message: "later" }],
    [
      "throws undefined",
      () => {
        throw undefined;
      },
      { code: "HANDLER_FAILED", message: "The handler threw undefined" },
    ],
    [
      "throws a string",
      () => {
        throw "plain";
      },
      { code: "HANDLER_FAILED", message: "The handler threw plain" },
    ],
    [
      "throws what cannot be read",
      () => {
        throw unreadable;
      },
      { message: "The handler threw something that cannot be read" },
    ],
    [
      "throws an object without prototype",
      () => {
        throw Object.create(null);
      },
      { code: "HANDLER_FAILED" },
    ],
    [
      "throws a TaskError",
      () => {
        throw new TaskError("full", { code: "DISK_FULL" });
      },
      { code: "DISK_FULL", message: "full" },
    ],
    [
      "throws a NonRetryableError",
      () => {
        throw new NonRetryableError("never");
      },
      { code: "HANDLER_FAILED", retryable: false },
    ],
    [
      "throws a RetryAfterError",
      () => {
        throw new RetryAfterError("busy", 1_500);
      },
      { retry_after_ms: 1_500 },
    ],
    [
      "throws text that cannot be stored",
      () => {
        throw new Error("a\u0000b\ud800");
      },
      { message: "a\ufffdb\ufffd" },
    ],
    [
      "throws a long message",
      () => {
        throw new Error("x".repeat(100_000));
      },
      { message: `${"x".repeat(4_095)}…` },
    ],
    ["returns what is not JSON", () => 10n, { code: "OUTPUT_INVALID", retryable: false }],
    ["returns too much", () => "x".repeat(8 * 1_024 * 1_024), { code: "OUTPUT_TOO_LARGE", retryable: false }],
    ["returns U+0000", () => ({ a: ["\u0000"] }), { code: "OUTPUT_UNSTORABLE", retryable: false }],
    ["returns a prototype key", () => JSON.parse('{"__proto__":1}'), { code: "OUTPUT_UNSTORABLE", retryable: false }],
  ])("fails the attempt when the handler %s", async (_, run, error) => {
    const server = await bed.server();
    const { lines } = await bed.executor(server, [defineExecutor({ capability: "bad", run })]);
    const task = server.add("bad");
    await eventually(() => expect(task.status).toBe("failed"));
    expect(task.report?.error).toMatchObject(error);
    expect(JSON.stringify(task.report)).not.toContain(".test.ts");
    expect(lines.filter(({ step }) => step === "fail")).toHaveLength(1);
  });

  it("fails for good what breaks its contract", async () => {
    const server = await bed.server();
    const strict = defineExecutor({
      capability: "strict",
      input: z.object({ n: z.number() }),
      output: z.string(),
      run: ({ input }) => (input.n > 0 ? "ok" : (input.n as never)),
    });
    await bed.executor(server, [strict]);
    const [input, output] = [server.add("strict", { n: "1" }), server.add("strict", { n: 0 })];
    await eventually(() => expect([input.status, output.status]).toEqual(["failed", "failed"]));
    expect(input.report?.error).toMatchObject({ code: "INPUT_INVALID", retryable: false });
    expect(output.report?.error).toMatchObject({ code: "OUTPUT_INVALID", retryable: false });
  });

  it("reports nothing returned as null", async () => {
    const server = await bed.server();
    await bed.executor(server, [defineExecutor({ capability: "quiet", run: () => {} })]);
    const task = server.add("quiet");
    await eventually(() => expect(task.report).toMatchObject({ outcome: "completed", output: null }));
  });
});

describe("what handlers use up", () => {
  it("is added up by name and goes with the report, whatever came of the attempt", async () => {
    const server = await bed.server();
    const spender = defineExecutor({
      capability: "spender",
      run: ({ input, usage }) => {
        usage({ tokens: 2, cost_usd: 0.5 });
        usage({ tokens: 3, nonsense: Number.NaN });
        if (input === "fail") throw new Error("no");
      },
    });
    await bed.executor(server, [spender, echo]);
    const tasks = [server.add("spender"), server.add("spender", "fail"), server.add("echo")];
    await eventually(() => expect(tasks.every(({ report }) => report)).toBe(true));
    const spent = { tokens: 5, cost_usd: 0.5 };
    expect(tasks.map(({ report }) => report?.usage)).toEqual([spent, spent, undefined]);
  });
});

describe("the executors of a process", () => {
  it("are in each other's reach, and are closed when it stops, even if one of them cannot be", async () => {
    const server = await bed.server();
    const closed: string[] = [];
    const caller = defineExecutor({
      capability: "caller",
      run: (context) => context.executors.get("echo")!.run(context),
      close: () => {
        closed.push("caller");
        throw new Error("no");
      },
    });
    const other = defineExecutor({ capability: "other", run: () => 1, close: async () => void closed.push("other") });
    const { running, lines } = await bed.executor(server, [caller, echo, other]);
    const task = server.add("caller", "hello");
    await eventually(() => expect(task.report?.output).toBe("hello"));
    expect(closed).toEqual([]);
    await running.stop();
    expect(closed).toEqual(["caller", "other"]);
    expect(lines).toContainEqual(expect.objectContaining({ level: "warn", step: "drain", capability: "caller" }));
  });
});

describe("logs", () => {
  it("sends the handler's lines with the report, cut and storable, and writes them to the process log", async () => {
    const server = await bed.server();
    const chatty = defineExecutor({
      capability: "chatty",
      run: ({ log }) => {
        log.info("first", { n: 1 });
        log.warn("a\u0000b");
        log.error("x".repeat(10_000));
        log.debug("odd", { self: 1n } as never);
      },
    });
    const { lines } = await bed.executor(server, [chatty]);
    const task = server.add("chatty");
    await eventually(() => expect(task.status).toBe("completed"));
    expect(task.report?.logs).toMatchObject([
      { level: "info", message: "first", fields: { n: 1 } },
      { level: "warn", message: "a\ufffdb" },
      { level: "error", message: "x".repeat(8_192) },
      { level: "debug", message: expect.stringContaining("odd (fields left out: ") },
    ]);
    expect(lines).toContainEqual(
      expect.objectContaining({ step: "log", level: "info", message: "first", task_id: task.id }),
    );
  });

  it("drops the oldest lines beyond a thousand, and says so", async () => {
    const server = await bed.server();
    const chatty = defineExecutor({
      capability: "chatty",
      run: ({ log }) => {
        for (let i = 0; i < 1_500; i++) log.info(`line ${i}`);
      },
    });
    await bed.executor(server, [chatty]);
    const task = server.add("chatty");
    await eventually(() => expect(task.status).toBe("completed"));
    const logs = task.report!.logs!;
    expect(logs).toHaveLength(1_000);
    expect(logs[0]?.message).toMatch(/^501 earlier lines were dropped/);
    expect(logs.at(-1)?.message).toBe("line 1499");
  });

  it("writes a line for each step of a task, and never its input, its output or a token", async () => {
    const server = await bed.server();
    const fails = defineExecutor({ capability: "fails", input: z.object({ n: z.literal(1) }), run: () => 1 });
    const { lines } = await bed.executor(server, [echo, fails], { client: { url: server.url, apiKey: "secret-key" } });
    const task = server.add("echo", "secret-input");
    const failing = server.add("fails", { n: "secret-input" });
    await eventually(() => expect(lines.filter(({ step }) => step === "finish")).toHaveLength(2));
    const steps = lines.filter(({ task_id }) => task_id === task.id);
    expect(steps.map(({ step }) => step)).toEqual(["claim", "start", "report", "finish"]);
    for (const line of steps) {
      expect(line).toMatchObject({
        run_id: expect.any(String),
        task: expect.stringMatching(/^task-/),
        attempt: 1,
        capability: "echo",
        agent_id: expect.any(String),
      });
    }
    const text = JSON.stringify(lines);
    for (const secret of ["secret-input", "secret-key", task.token, failing.token, server.agents()[0]!.token]) {
      expect(text).not.toContain(secret);
    }
  });
});

describe("being told to stop", () => {
  it("aborts the handler of a cancelled task and reports nothing", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor, signals } = holding();
    const { running } = await bed.executor(server, [executor], { slots: 1 });
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    task.status = "cancelled";
    await eventually(() => expect(signals[0]?.reason).toMatchObject({ code: "CANCELLED" }));
    const next = server.add("hold");
    await eventually(() => expect(next.status).toBe("running"));
    await running.stop();
    expect(server.requests("/report")).toHaveLength(0);
  });

  it("aborts the handler whose lease was lost, and drops its result", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor, signals, finish } = deaf();
    await bed.executor(server, [executor], { slots: 1 });
    const task = server.add("deaf");
    await eventually(() => expect(signals).toHaveLength(1));
    Object.assign(task, { agentId: "somebody else", expiresAt: Number.POSITIVE_INFINITY });
    await eventually(() => expect(signals[0]?.aborted).toBe(true));
    finish("too late");
    const next = server.add("deaf");
    await eventually(() => expect(next.status).toBe("completed"));
    expect(server.requests("/report")).toHaveLength(1);
  });

  it("stops by itself when the server was not heard for almost a lease", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor, signals } = holding();
    server.fail({ path: "/heartbeat", status: 503, times: 1_000 });
    const { lines } = await bed.executor(server, [executor]);
    const task = server.add("hold", null, { leaseMs: 1_000 });
    await eventually(() => expect(signals[0]?.reason).toMatchObject({ code: "LEASE_LOST" }));
    expect(lines).toContainEqual(
      expect.objectContaining({
        step: "stop",
        task_id: task.id,
        message: expect.stringContaining("the server was not heard"),
      }),
    );
  });

  it("keeps a lease by heartbeats for as long as the handler runs", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const { executor, signals, finish } = holding();
    await bed.executor(server, [executor]);
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    const beats = server.requests("/tasks/heartbeat").length;
    await eventually(() => expect(server.requests("/tasks/heartbeat").length).toBeGreaterThan(beats + 2));
    finish("done");
    await eventually(() => expect(task.status).toBe("completed"));
    expect(task).toMatchObject({ attempt: 1, lost: 0 });
  });

  it("reports a timeout at once, and gives the slot free when the handler returns", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = deaf();
    const { lines } = await bed.executor(server, [executor, echo], { slots: 1 });
    const task = server.add("deaf", null, { timeoutMs: 100 });
    await eventually(() => expect(task.report?.error).toMatchObject({ code: "timeout" }));
    expect(signals[0]?.aborted).toBe(true);
    const clock = performance.now.bind(performance);
    const later = vi.spyOn(performance, "now").mockImplementation(() => clock() + 6_000);
    await eventually(() =>
      expect(lines.map(({ message }) => message)).toContainEqual(expect.stringContaining("does not heed")),
    );
    later.mockRestore();
    const next = server.add("echo", 1);
    expect(next.status).toBe("ready");
    finish("too late");
    await eventually(() => expect(next.status).toBe("completed"));
    expect(task.status).toBe("failed");
  });

  it("passes progress on, and leaves out what would spoil the heartbeat of others", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const gate = deferred();
    const talkative = defineExecutor({
      capability: "talkative",
      run: async ({ input, progress }) => {
        progress(input);
        await gate.promise;
      },
    });
    const { lines } = await bed.executor(server, [talkative]);
    const good = server.add("talkative", { percent: 40 });
    const bad = server.add("talkative", "a\u0000");
    await eventually(() => expect(good.progress).toEqual({ percent: 40 }));
    expect(bad.progress).toBeUndefined();
    expect(lines).toContainEqual(expect.objectContaining({ step: "progress", task_id: bad.id }));
    gate.resolve();
  });
});

describe("what a handler adds to its run", () => {
  it("emits each item once, in order, though answers are lost, and closes the map", async () => {
    const server = await bed.server();
    const scout = defineExecutor({
      capability: "scout",
      run: async ({ emit }) => {
        const first = emit("visit", [{ item: 1 }, { item: 2, key: "two" }]);
        // Neither awaited nor in the way: the report waits for it.
        void emit("visit", [{ item: 3 }], { close: true });
        return await first;
      },
    });
    server.fail({ path: "/emit", cut: "after", containing: '"items":[{' });
    server.fail({ path: "/emit", cut: "after", containing: '"close":true' });
    await bed.executor(server, [scout]);
    const task = server.add("scout");
    await eventually(() => expect(task.report).toMatchObject({ outcome: "completed" }));
    expect(task).toMatchObject({ emitted: [1, 2, 3], closed: ["visit"] });
  });

  it("divides what one request cannot carry", async () => {
    const server = await bed.server();
    const scout = defineExecutor({
      capability: "scout",
      run: async ({ emit }) => {
        await emit(
          "many",
          Array.from({ length: 2_500 }, (_, item) => ({ item })),
        );
        return emit("large", Array.from({ length: 4 }).fill({ item: "x".repeat(400_000) }) as { item: string }[]);
      },
    });
    await bed.executor(server, [scout]);
    const task = server.add("scout");
    await eventually(() => expect(task.report?.output).toEqual({ added: 4, repeated: 0 }));
    const sent = server.requests("/emit").map(({ body }) => (body as { items: [] }).items.length);
    expect(sent).toEqual([1_000, 1_000, 500, 2, 2]);
  });

  it("fails the attempt over what was emitted and not awaited", async () => {
    const server = await bed.server();
    const careless = defineExecutor({
      capability: "careless",
      run: ({ emit }) => {
        void emit("visit", [], { close: true });
        void emit("visit", [{ item: 1 }]);
      },
    });
    await bed.executor(server, [careless]);
    const task = server.add("careless");
    await eventually(() => expect(task.report?.error).toMatchObject({ code: "emit_refused", retryable: false }));
  });

  it("leaves it to the handler to go on after a refusal, and drops no other report over it", async () => {
    const server = await bed.server();
    const careful = defineExecutor({
      capability: "careful",
      run: async ({ emit }) => {
        await emit("visit", [], { close: true });
        return emit("visit", [{ item: 1 }]).catch((error) => error.code);
      },
    });
    await bed.executor(server, [careful]);
    const task = server.add("careful");
    await eventually(() => expect(task.report).toMatchObject({ outcome: "completed", output: "emit_refused" }));
  });

  it.each<[string, (context: ExecutorContext) => unknown, string]>([
    ["emits no list", ({ emit }) => emit("visit", "abc" as never), "emit_refused"],
    ["emits bare items", ({ emit }) => emit("visit", [1] as never), "emit_refused"],
    ["emits what is not JSON", ({ emit }) => emit("visit", [{ item: 1n as never }]), "emit_refused"],
    ["emits what cannot be stored", ({ emit }) => emit("visit", [{ item: "\u0000" }]), "OUTPUT_UNSTORABLE"],
    ["spawns what is not JSON", ({ spawn }) => spawn([() => {}] as never), "spawn_invalid"],
    ["spawns what cannot be stored", ({ spawn }) => spawn([{ id: "\ud800" }]), "OUTPUT_UNSTORABLE"],
    [
      "spawns too many",
      ({ spawn }) => spawn(Array.from({ length: 1_001 }, (_, i) => ({ id: `t${i}` }))),
      "spawn_invalid",
    ],
    ["spawns too much", ({ spawn }) => spawn([{ id: "a", input: "x".repeat(5_000_000) }]), "spawn_invalid"],
  ])("fails for good a handler that %s", async (_, run, code) => {
    const server = await bed.server();
    await bed.executor(server, [defineExecutor({ capability: "bad", run })]);
    const task = server.add("bad");
    await eventually(() => expect(task.report?.error).toMatchObject({ code, retryable: false }));
    expect(server.requests("/emit")).toHaveLength(0);
  });

  it("sends what was spawned with the report of a success, as it was when it was spawned", async () => {
    const server = await bed.server();
    const planner = defineExecutor({
      capability: "planner",
      run: ({ input, spawn }) => {
        const task = { id: "a", capability: "core.echo", input: 1 };
        spawn([task]);
        task.input = 2;
        spawn([{ id: "b", needs: ["a"], capability: "core.echo" }]);
        if (input === "fail") throw new Error("after all");
      },
    });
    await bed.executor(server, [planner]);
    const [good, bad] = [server.add("planner"), server.add("planner", "fail")];
    await eventually(() => expect([good.status, bad.status]).toEqual(["completed", "failed"]));
    expect(good.report?.effects).toEqual({
      spawn: [
        { id: "a", capability: "core.echo", input: 1 },
        { id: "b", needs: ["a"], capability: "core.echo" },
      ],
    });
    expect(bad.report).not.toHaveProperty("effects");
    expect(bad.report?.logs).toMatchObject([{ level: "warn", message: expect.stringContaining("dropped: 2") }]);
  });

  it("is over with the attempt", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const seen = deferred<ExecutorContext>();
    const gate = deferred();
    const late = defineExecutor({
      capability: "late",
      run: async (context) => {
        seen.resolve(context);
        await gate.promise;
      },
    });
    await bed.executor(server, [late]);
    const cancelled = server.add("late");
    const { signal, emit, spawn } = await seen.promise;
    cancelled.status = "cancelled";
    await eventually(() => expect(signal.aborted).toBe(true));
    await expect(emit("visit", [{ item: 1 }])).rejects.toBe(signal.reason);
    expect(() => spawn([])).toThrow(signal.reason);
    gate.resolve();
  });
});

describe("stopping", () => {
  it("lets handlers finish, reports them, leaves, and is done once however often it is asked", async () => {
    const server = await bed.server();
    const { executor, signals, finish } = holding();
    const { running } = await bed.executor(server, [executor], { drainMs: 20_000 });
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    const stopping = running.stop();
    expect(running.stop()).toBe(stopping);
    const unwanted = server.add("hold");
    finish("done");
    await stopping;
    await running.closed;
    expect(task.status).toBe("completed");
    expect(unwanted.status).toBe("ready");
    expect(server.agents()[0]?.left).toBe(true);
  });

  it("gives back what does not finish in time, uncounted", async () => {
    const server = await bed.server();
    const { executor, signals } = holding();
    const { running } = await bed.executor(server, [executor], { drainMs: 50 });
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    await running.stop();
    expect(signals[0]?.reason).toMatchObject({ code: "DRAINED" });
    expect(task).toMatchObject({ status: "ready", released: 1, lost: 0 });
    expect(server.requests("/report")).toHaveLength(0);
  });

  it("waits without end when asked to, and no longer when asked again", async () => {
    const server = await bed.server();
    const { executor, signals } = holding();
    const { running } = await bed.executor(server, [executor]);
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    const stopping = running.stop(Number.POSITIVE_INFINITY);
    const unwanted = server.add("hold");
    await eventually(() => expect(server.agents()[0]?.presented).toBeGreaterThan(0));
    expect(signals[0]?.aborted).toBe(false);
    expect(running.stop(0)).toBe(stopping);
    await stopping;
    expect([task, unwanted]).toMatchObject([
      { status: "ready", released: 1 },
      { status: "ready", attempt: 0 },
    ]);
  });

  it("gives back what a claim had taken whose answer was lost", async () => {
    const server = await bed.server();
    server.fail({ path: "/claim", cut: "after" });
    const { running } = await bed.executor(server, [echo]);
    await eventually(() => expect(server.requests("/claim")).toHaveLength(1));
    const task = server.add("echo");
    await eventually(() => expect(task.status).toBe("running"));
    await running.stop();
    expect(task).toMatchObject({ status: "ready", released: 1, report: undefined });
  });

  it("ends though the server is gone", async () => {
    const server = await bed.server();
    const { running } = await bed.executor(server, [echo]);
    await server.stop();
    await running.stop();
    await server.start();
  }, 20_000);
});

describe("a fetch of its own", () => {
  it("carries everything, heartbeats too", async () => {
    const server = await bed.server({ leaseMs: LEASE_MS });
    const paths = new Set<string>();
    const { executor, signals, finish } = holding();
    await bed.executor(server, [executor], {
      client: {
        url: server.url,
        fetch: (target, init) => {
          paths.add(String(target).slice(server.url.length));
          return fetch(target, init);
        },
      },
    });
    const task = server.add("hold");
    await eventually(() => expect(signals).toHaveLength(1));
    await eventually(() => expect(paths).toContain("/v1/tasks/heartbeat"));
    await delay(0);
    finish("done");
    await eventually(() => expect(task.status).toBe("completed"));
    expect(task.lost).toBe(0);
  });
});
