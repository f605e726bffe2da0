/** Runs that are planned anew when a task fails: on the embedded system, with executors that break, lie or leave. */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startExecutor } from "../../agents/executor_agents/executor.ts";
import { loadConfig } from "../../config.ts";
import type { SubmitBody } from "../../core/protocol/runs.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { defineExecutor, type Executor, NonRetryableError } from "../../sdk/executor.ts";

const logger = pino({ level: "silent" });

let system: Embedded;
beforeAll(async () => {
  system = await startEmbedded({ config: loadConfig({ PORT: "0" }), logger, inMemory: true, withoutExecutor: true });
});
afterAll(() => system?.stop());

/** `a b -> c`: from texts to a text that says what made it of what. */
function maker(capability: string, types: string, { cost = 0, breaks = "" } = {}): Executor {
  const [takes, gives] = types.split("->").map((side) => side.trim().split(" ").filter(Boolean));
  const fields = (names: string[]) => Object.fromEntries(names.map((name) => [name, name]));
  return defineExecutor({
    capability,
    consumes: fields(takes!),
    produces: fields(gives!),
    cost,
    run: ({ input }) => {
      if (breaks) throw new NonRetryableError(`${capability} ${breaks}`, { code: "BROKEN" });
      const values = Object.values(input as Record<string, string>);
      return Object.fromEntries(gives!.map((type) => [type, `${capability}(${values.join(",")})`]));
    },
  });
}

/** Has executors at work while `use` is at it. */
async function withExecutors<T>(executors: Executor[], use: () => Promise<T>): Promise<T> {
  const executor = await startExecutor({ client: { url: system.url }, executors, name: "fakes", logger });
  try {
    return await use();
  } finally {
    await executor.stop();
  }
}

const goal = { have: { url: { type: "url", value: "u" } }, want: { summary: "summary", words: "words" } };
const read = maker("read", "url -> text");
const count = maker("count", "text -> words");

async function runToEnd(body: Partial<SubmitBody>) {
  const client = createClient({ url: system.url });
  const { id } = await client.runs.submit({ goal, on_failure: "replan", ...body }, { wait: 30 });
  const [result, run, graph, logs] = [
    await client.runs.result(id),
    await client.runs.get(id),
    await client.runs.graph(id, "json"),
    await client.runs.logs(id),
  ];
  return { id, client, run, result, graph: JSON.parse(graph), logs: logs.data };
}

describe("a run that is planned anew", () => {
  it("goes on around a task that fails, and tells the story", { timeout: 60_000 }, async () => {
    const executors = [
      read,
      count,
      maker("shorten", "text -> summary", { breaks: "has no ink" }),
      maker("brief", "text -> summary", { cost: 5 }),
    ];
    await withExecutors(executors, async () => {
      const { id, client, result, run, graph, logs } = await runToEnd({});
      expect(result).toEqual({
        status: "completed",
        error: null,
        outputs: { summary: "brief(read(u))", words: "count(read(u))" },
      });
      expect(run.revision).toBe(1);
      const shown = Object.fromEntries(
        graph.nodes.map((node: { key: string; status: string; superseded_in: number | null }) => [
          node.key,
          [node.status, node.superseded_in],
        ]),
      );
      expect(shown).toEqual({
        read: ["completed", null],
        count: ["completed", null],
        shorten: ["failed", 1],
        brief: ["completed", null],
      });
      const story = logs
        .filter(({ step }) => step === "plan" || step === "grow")
        .map(({ message, fields }) => [message, fields]);
      expect(story).toEqual([
        ["run replanning", { round: 1 }],
        [
          "run patched",
          {
            by: "planner capability",
            reason: "Round 1 of 3.",
            round: 1,
            plan: expect.any(String),
            added: ["brief"],
            superseded: ["shorten"],
          },
        ],
      ]);
      expect(await client.runs.why(id, "shorten")).toMatchObject({
        reasons: [{ code: "superseded" }, { code: "settled" }],
      });
      const plan = await client.plans.get((story[1]![1] as { plan: string }).plan);
      expect(plan).toMatchObject({
        status: "accepted",
        run_id: id,
        planner: "capability",
        tasks: [{ capability: "brief" }],
      });
      const saved = await client.workflows.saveFromRun(id, { name: "replanned" });
      expect((saved.definition.tasks as { id: string }[]).map((task) => task.id).toSorted()).toEqual([
        "brief",
        "count",
        "read",
      ]);
    });
  });

  it("tries one way after the other, and then says that there is no more", { timeout: 60_000 }, async () => {
    const executors = [
      read,
      count,
      maker("shorten", "text -> summary", { breaks: "has no ink" }),
      maker("brief", "text -> summary", { cost: 5, breaks: "has no paper" }),
    ];
    await withExecutors(executors, async () => {
      const { result, logs } = await runToEnd({});
      expect(result.status).toBe("failed");
      expect(result.error).toMatchObject({ code: "BROKEN", task: "brief" });
      expect(result.error!.message).toMatch(
        /^brief has no paper There is no other plan: .*only brief, shorten would, which must not be used/,
      );
      expect(logs.filter(({ step }) => step === "plan").map(({ message }) => message)).toEqual([
        "run replanning",
        "run replanning",
        "run replan failed",
      ]);
    });
  });

  it("stops after as many rounds as it may have", { timeout: 60_000 }, async () => {
    const ways = ["a", "b", "c", "d"].map((name, index) =>
      maker(name, "text -> summary", { cost: index, ...(name !== "d" && { breaks: "is broken" }) }),
    );
    await withExecutors([read, count, ...ways], async () => {
      const { result } = await runToEnd({ on_failure: { replan: { rounds: 2 } } });
      expect(result.error).toMatchObject({
        task: "c",
        message: "c is broken It was planned anew as often as it may be: 2.",
      });
      expect((await runToEnd({})).result.outputs).toEqual({ summary: "d(read(u))", words: "count(read(u))" });
    });
  });

  it("goes on without a capability that nobody offers any more", { timeout: 60_000 }, async () => {
    const leaving = await startExecutor({
      client: { url: system.url },
      executors: [maker("gone", "text -> summary")],
      name: "leaving",
      logger,
    });
    await withExecutors(
      [maker("gate", "url -> text"), count, maker("brief", "text -> summary", { cost: 5 })],
      async () => {
        const client = createClient({ url: system.url });
        const plan = await client.plans.create({ goal });
        expect(plan.tasks.map(({ capability }) => capability).toSorted()).toEqual(["count", "gate", "gone"]);
        const run = await client.plans.accept(plan.id, { on_failure: { replan: { missing_after: "500ms" } } });
        await leaving.stop();
        await expect.poll(async () => (await client.runs.get(run.id)).status, { timeout: 30_000 }).toBe("completed");
        expect((await client.runs.result(run.id)).outputs).toMatchObject({
          summary: expect.stringMatching(/^(brief|gone)\(/),
        });
      },
    );
  });

  it("makes anew what a verifier finds wrong", { timeout: 60_000 }, async () => {
    const proof = defineExecutor({
      capability: "proof",
      consumes: { summary: "summary" },
      run: ({ input }) => {
        const { summary } = input as { summary: string };
        if (summary.startsWith("shorten"))
          throw new NonRetryableError("It is too short.", { code: "VERIFICATION_FAILED" });
        return {};
      },
    });
    const executors = [
      read,
      count,
      proof,
      maker("shorten", "text -> summary"),
      maker("brief", "text -> summary", { cost: 5 }),
    ];
    await withExecutors(executors, async () => {
      const verified = { ...goal, verify: ["proof"] };
      const { result, graph } = await runToEnd({ goal: verified });
      expect(result.outputs).toEqual({ summary: "brief(read(u))", words: "count(read(u))" });
      const superseded = graph.nodes.filter((node: { superseded_in: number | null }) => node.superseded_in === 1);
      expect(superseded.map(({ key, status }: { key: string; status: string }) => [key, status])).toEqual([
        ["shorten", "completed"],
        ["proof", "failed"],
      ]);
      const once = await runToEnd({ goal: verified, on_failure: "fail" });
      expect(once.result).toMatchObject({ status: "failed", error: { code: "VERIFICATION_FAILED", task: "proof" } });
    });
  });

  it("of a template goes on by another one, and what is saved from it is a template again", {
    timeout: 60_000,
  }, async () => {
    const executors = [
      read,
      maker("shorten", "text -> summary", { breaks: "has no ink" }),
      maker("brief", "text -> summary", { cost: 5 }),
    ];
    await withExecutors(executors, async () => {
      const client = createClient({ url: system.url });
      const register = (name: string, capability: string) =>
        client.workflows.register({
          name,
          goal: { have: { address: "url" }, want: { short: "summary" } },
          tasks: [
            { id: "get", capability: "read", input: { url: "{{ inputs.address }}/" }, retry: { max_attempts: 1 } },
            { id: "make", capability, needs: ["get"], input: { text: "{{ tasks.get.output.text }}" } },
          ],
          outputs: { short: "{{ tasks.make.output.summary }}" },
        });
      await register("a-digest", "shorten");
      await register("b-digest", "brief");
      const wish = { have: goal.have, want: { summary: "summary" } };
      const { id, result, graph } = await runToEnd({ goal: wish, planner: "template" });
      expect(result).toEqual({ status: "completed", error: null, outputs: { summary: "brief(read(u/))" } });
      const superseded = graph.nodes.filter((node: { superseded_in: number | null }) => node.superseded_in === 1);
      expect(superseded.map(({ key, status }: { key: string; status: string }) => [key, status])).toEqual([
        ["a_digest", "failed"],
      ]);
      const again = await runToEnd({ goal: { ...wish, must_not_use: ["b-digest"] }, planner: "template" });
      expect(again.result.error).toMatchObject({ code: "subworkflow_failed", task: "a_digest" });
      expect(again.result.error!.message).toContain("Template a-digest@1: it is what the goal must not use");
      // It has a time of its own for agents that are gone, which plans have not.
      const typed = await runToEnd({ goal: { ...wish, must_not_use: ["shorten"] } });
      await client.workflows.saveFromRun(typed.id, { name: "saved" });
      const saved = await client.plans.create({ goal: wish, planner: "template", template: "saved" });
      expect(saved.tasks).toMatchObject([{ capability: "saved" }]);
      expect((await client.runs.get(id)).revision).toBe(1);
    });
  });

  it("is refused where there is nothing to plan anew", async () => {
    const client = createClient({ url: system.url });
    const definition = { name: "flow", tasks: [{ id: "a", capability: "core.echo" }] };
    await expect(client.runs.submit({ definition, on_failure: "replan" } as never)).rejects.toMatchObject({
      code: "REQUEST_INVALID",
      message: expect.stringContaining("has `planner`, `plan_review` or `on_failure` without a `goal`"),
    });
    for (const replan of [{ rounds: 0 }, { rounds: 11 }, { missing_after: "soon" }, { often: 1 }]) {
      await expect(client.runs.submit({ goal, on_failure: { replan } } as never)).rejects.toMatchObject({
        code: "REQUEST_INVALID",
      });
    }
  });
});
