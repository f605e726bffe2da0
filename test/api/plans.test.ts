/** Plans over HTTP: made, drawn, reviewed, and run. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CapabilityBody } from "../../core/protocol/agents.ts";
import type { ListedPlanBody, PlanRecordBody } from "../../core/protocol/plans.ts";
import type { RunBody } from "../../core/protocol/runs.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const read = {
  name: "read",
  consumes: { url: "web.url" },
  produces: { text: "document.text" },
  cost: 2,
  duration_ms: 100,
};
const shorten = { name: "shorten", consumes: { text: "document.text" }, produces: { summary: "document.summary" } };
const rate = { name: "rate", consumes: { text: "document.text" }, produces: { score: "document.score" } };
const goal = {
  have: { page: { type: "web.url", value: "https://a.example" } },
  want: { summary: "document.summary", score: "document.score" },
};

async function newLibrary() {
  const space = await server.newNamespace();
  const agent = await space.join([read, shorten, rate]);
  return { space, agent };
}

const post = <T>(space: Namespace, path: string, body: object = {}, headers?: Record<string, string>) =>
  space.call<T>({ path, body, ...(headers && { headers }) });

const plan = async (space: Namespace) => (await post<PlanRecordBody>(space, "/v1/plans", { goal })).body;

describe("a plan", () => {
  it("is a workflow with a reason for each task and edge; nothing runs", async () => {
    const { space } = await newLibrary();
    const made = await post<PlanRecordBody>(space, "/v1/plans", { goal });
    expect([made.status, made.headers.location]).toEqual([201, `/v1/plans/${made.body.id}`]);
    expect(made.body).toMatchObject({ planner: "capability", status: "proposed", goal, is_best: true, run_id: null });
    expect(made.body.estimate).toEqual({ tasks: 3, depth: 2, cost: 2, duration_ms: 100, reliability: 1 });
    expect(made.body.tasks.map(({ task }) => task)).toEqual(["read", "rate", "shorten"]);
    expect(made.body.edges.map(({ from, to }) => `${from} ${to}`).toSorted()).toEqual(["read rate", "read shorten"]);
    expect((await space.call<PlanRecordBody>({ path: `/v1/plans/${made.body.id}` })).body).toEqual(made.body);
    expect((await space.call<{ data: RunBody[] }>({ path: "/v1/runs" })).body.data).toEqual([]);
  });

  it("can be drawn", async () => {
    const { space } = await newLibrary();
    const { id } = await plan(space);
    const draw = (format: string) => space.call({ path: `/v1/plans/${id}?format=${format}` });
    const tree = await draw("tree");
    expect(tree.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(tree.text.split("\n").filter((line) => line !== "" && !line.includes("Gives"))).toEqual([
      "read",
      "├─ rate",
      "└─ shorten",
    ]);
    expect(tree.text).toContain("Gives document.score, which is wanted as `score`; nothing else gives document.score.");
    expect((await draw("mermaid")).text).toMatch(
      /^flowchart (TD|LR)\n {2}accTitle: Plan [0-9a-f-]{36}, proposed, 3 tasks\n[\s\S]*n0 --> n1/,
    );
    const svg = (await draw("svg")).text;
    expect(svg).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
    expect(svg).toContain(`proposed · 3 tasks · plan ${id}`);
    expect(svg).not.toMatch(/run [0-9a-f-]{36}|3 pending/);
    expect((await draw("pdf")).body).toMatchObject({ code: "REQUEST_INVALID" });
  });

  it("that is accepted starts its run, once, with the values of the goal", async () => {
    const { space, agent } = await newLibrary();
    const { id } = await plan(space);
    const accept = () => post<RunBody>(space, `/v1/plans/${id}/accept`, { reason: "Good.", priority: 7 });
    const [first, second] = [await accept(), await accept()];
    expect([first.status, first.headers.location]).toEqual([202, `/v1/runs/${first.body.id}`]);
    expect(second.body.id).toBe(first.body.id);
    expect(first.body).toMatchObject({
      inputs: { page: "https://a.example" },
      priority: 7,
      labels: { "skein.plan": id },
    });
    await agent.work(({ capability, input }) => ({
      [{ read: "text", rate: "score", shorten: "summary" }[capability]!]:
        `${capability}(${Object.values(input as object)})`,
    }));
    expect((await space.finished(first.body.id)).status).toBe("completed");
    const { body } = await space.call<{ outputs: object }>({ path: `/v1/runs/${first.body.id}/result` });
    expect(body.outputs).toEqual({
      summary: "shorten(read(https://a.example))",
      score: "rate(read(https://a.example))",
    });
    const after = (await space.call<PlanRecordBody>({ path: `/v1/plans/${id}` })).body;
    expect(after).toMatchObject({ status: "accepted", run_id: first.body.id, reason: "Good." });
    expect((await post(space, `/v1/plans/${id}/reject`)).body).toMatchObject({
      code: "PLAN_ALREADY_DECIDED",
      status: 409,
    });
  });

  it("that many accept at once is one run, as the first of them said", async () => {
    const { space } = await newLibrary();
    const { id } = await plan(space);
    const accepted = await Promise.all(
      [1, 2, 3, 4].map((priority) => post<RunBody>(space, `/v1/plans/${id}/accept`, { priority })),
    );
    expect(new Set(accepted.map(({ status, body }) => `${status} ${body.id} ${body.priority}`)).size).toBe(1);
    expect((await space.call<{ data: RunBody[] }>({ path: "/v1/runs" })).body.data).toHaveLength(1);
  });

  it("is listed for those who decide, by what it is for, until they have", async () => {
    const { space } = await newLibrary();
    const ids = [(await plan(space)).id, (await plan(space)).id];
    const list = async (query = "") =>
      (await space.call<{ data: ListedPlanBody[]; next_cursor: string | null }>({ path: `/v1/plans${query}` })).body;
    const first = await list("?limit=1");
    const second = await list(`?limit=1&cursor=${first.next_cursor}`);
    expect([...first.data, ...second.data].map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(first.data[0]).toMatchObject({
      planner: "capability",
      text: null,
      have: { page: "web.url" },
      want: goal.want,
      estimate: { tasks: 3, duration_ms: 100 },
    });
    await post(space, `/v1/plans/${ids[0]}/accept`);
    await post(space, `/v1/plans/${ids[1]}/reject`, { reason: "Once is enough." });
    expect((await list()).data).toEqual([]);
    expect((await list("?status=accepted")).data).toMatchObject([{ id: ids[0], run_id: expect.any(String) }]);
    expect((await list("?status=rejected")).data).toMatchObject([{ id: ids[1], reason: "Once is enough." }]);
  });

  it("that is rejected never runs", async () => {
    const { space } = await newLibrary();
    const { id } = await plan(space);
    const reject = () => post<PlanRecordBody>(space, `/v1/plans/${id}/reject`, { reason: "Too dear." });
    expect((await reject()).body).toMatchObject({ status: "rejected", reason: "Too dear." });
    expect((await reject()).status).toBe(200);
    expect((await post(space, `/v1/plans/${id}/accept`)).body).toMatchObject({ code: "PLAN_ALREADY_DECIDED" });
  });

  it("is checked again when it is accepted, and starts nothing when it does not hold any more", async () => {
    const { space, agent } = await newLibrary();
    const { id } = await plan(space);
    await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    const refused = await post<{ code: string; errors: { code: string; message: string }[] }>(
      space,
      `/v1/plans/${id}/accept`,
    );
    expect(refused.body.errors[0]!.code).toBe("PLAN_CAPABILITY_UNKNOWN");
    expect(refused.body.errors[0]!.message).toContain('Task "read" uses "read", which no live agent offers');
    expect((await space.call<PlanRecordBody>({ path: `/v1/plans/${id}` })).body.status).toBe("proposed");
  });

  it("is held against the inputs that come when it is accepted, by their schemas and by those of its capabilities", async () => {
    const space = await server.newNamespace();
    const input_schema = { type: "object", properties: { url: { type: "string", pattern: "^http:" } } } as never;
    await space.join([{ ...read, input_schema }]);
    const open = {
      have: { page: { type: "web.url", schema: { type: "string", maxLength: 20 } } },
      want: { text: "document.text" },
    };
    const { id } = (await post<PlanRecordBody>(space, "/v1/plans", { goal: open })).body;
    const accept = (page: unknown) =>
      post<{ code: string; errors: { message: string; pointer: string }[] }>(space, `/v1/plans/${id}/accept`, {
        inputs: { page },
      });
    expect((await accept(42)).body).toMatchObject({
      code: "RUN_INPUTS_INVALID",
      errors: [
        {
          pointer: "/inputs/page",
          message: "The value of `page` does not fit its schema: must be string, but is number.",
        },
      ],
    });
    expect((await accept("ftp://a.example")).body).toMatchObject({ code: "PLAN_INPUT_INVALID" });
    const run = (page: string) => post<{ code: string }>(space, "/v1/runs", { goal: open, inputs: { page } });
    expect((await run("ftp://a.example")).body.code).toBe("PLAN_INPUT_INVALID");
    expect((await run("http://a.example")).status).toBe(202);
    expect((await accept("http://a.example")).status).toBe(202);
  });

  it("asks for the inputs that the goal has no values for", async () => {
    const { space } = await newLibrary();
    const open = { ...goal, have: { page: { type: "web.url" } } };
    const { id } = (await post<PlanRecordBody>(space, "/v1/plans", { goal: open })).body;
    expect((await post(space, `/v1/plans/${id}/accept`)).body).toMatchObject({ code: "RUN_INPUTS_INVALID" });
    const accepted = await post<RunBody>(space, `/v1/plans/${id}/accept`, { inputs: { page: "https://b.example" } });
    expect(accepted.body.inputs).toEqual({ page: "https://b.example" });
  });
});

describe("a plan of the client's own", () => {
  const tasks = [
    { id: "get", description: "Reads it.", capability: "read", input: { url: "{{ inputs.page }}" } },
    { id: "short", capability: "shorten", needs: ["get"], input: { text: "{{ tasks.get.output.text }}" } },
    { id: "score", capability: "rate", needs: ["get"], input: { text: "{{ tasks.get.output.text }}" } },
  ];
  const outputs = { summary: "{{ tasks.short.output.summary }}", score: "{{ tasks.score.output.score }}" };
  const workflow = { name: "mine", tasks, outputs };

  it("passes the same gate, and is accepted like any other", async () => {
    const { space } = await newLibrary();
    const made = await post<PlanRecordBody>(space, "/v1/plans", { goal, workflow });
    expect(made.body).toMatchObject({
      planner: "client",
      status: "proposed",
      is_best: false,
      workflow: { name: "mine" },
    });
    expect(made.body.tasks[0]).toEqual({ task: "get", capability: "read", reason: "Reads it." });
    expect((await post<RunBody>(space, `/v1/plans/${made.body.id}/accept`)).status).toBe(202);
  });

  it.each<[string, object, string, string]>([
    [
      "a URL of its own",
      { tasks: [{ ...tasks[0], input: { url: "https://collector.example" } }, ...tasks.slice(1)] },
      "PLAN_LITERAL_NOT_ALLOWED",
      "/workflow/tasks/0/input/url",
    ],
    [
      "a priority",
      { tasks: [{ ...tasks[0], priority: 9 }, ...tasks.slice(1)] },
      "PLAN_KEY_NOT_ALLOWED",
      "/workflow/tasks/0/priority",
    ],
    [
      "a circle",
      { tasks: [{ ...tasks[0], needs: ["short"] }, ...tasks.slice(1)] },
      "WORKFLOW_HAS_CYCLE",
      "/workflow/tasks/0/needs",
    ],
    [
      "an output that is made up",
      { outputs: { ...outputs, score: 100 } },
      "PLAN_LITERAL_NOT_ALLOWED",
      "/workflow/outputs/score",
    ],
    ["nothing in it", { tasks: undefined }, "WORKFLOW_INVALID", "/workflow/tasks"],
  ])("with %s is refused, and not stored", async (_, change, code, pointer) => {
    const { space } = await newLibrary();
    const count = () => server.sql.query("select count(*)::int as count from plan where namespace = $1", [space.name]);
    const { body } = await post<{ errors: { code: string; pointer: string }[] }>(space, "/v1/plans", {
      goal,
      workflow: { ...workflow, ...change },
    });
    expect(body.errors.map((one) => [one.code, one.pointer])).toContainEqual([code, pointer]);
    expect(await count()).toEqual([{ count: 0 }]);
  });

  it("and a planner's are not asked for at once", async () => {
    const { space } = await newLibrary();
    const { body } = await post<{ code: string }>(space, "/v1/plans", { goal, workflow, planner: "capability" });
    expect(body.code).toBe("REQUEST_INVALID");
  });
});

describe("a template", () => {
  const flow = {
    name: "digest",
    inputs: { type: "object", required: ["address"], properties: { address: { type: "string" } } },
    goal: { have: { address: "web.url" }, want: { short: "document.summary", rated: "document.score" } },
    tasks: [
      { id: "get", capability: "read", input: { url: "{{ inputs.address }}" } },
      { id: "short", capability: "shorten", needs: ["get"], input: { text: "{{ tasks.get.output.text }}" } },
      { id: "score", capability: "rate", needs: ["get"], input: { text: "{{ tasks.get.output.text }}" } },
    ],
    outputs: { short: "{{ tasks.short.output.summary }}", rated: "{{ tasks.score.output.score }}" },
  };
  const work = () => ({ text: "t", score: 1, summary: "s" });

  it("is found by its goal or taken by its name, and runs with the names of the goal that was asked for", async () => {
    const { space, agent } = await newLibrary();
    await post(space, "/v1/workflows", { ...flow, name: "another", goal: undefined });
    await post(space, "/v1/workflows", flow);
    for (const asked of [{}, { template: "digest" }, { template: "digest@1" }]) {
      const made = await post<PlanRecordBody>(space, "/v1/plans", { goal, planner: "template", ...asked });
      expect(made.body).toMatchObject({
        planner: "template",
        workflow: { name: "digest" },
        estimate: { cost: 2, depth: 2 },
      });
      const run = await post<RunBody>(space, `/v1/plans/${made.body.id}/accept`);
      await agent.work(work);
      await space.finished(run.body.id);
      const { body } = await space.call({ path: `/v1/runs/${run.body.id}/result` });
      expect(body).toMatchObject({ status: "completed", outputs: { summary: "s", score: 1 } });
    }
  });

  it.each<[string, object]>([
    [
      "values, retries, limits and labels",
      {
        labels: { team: "a" },
        defaults: { retry: { max_attempts: 2 } },
        tasks: [
          { ...flow.tasks[0], input: { url: "https://proxy.example/{{ inputs.address }}" }, timeout: "30s" },
          { ...flow.tasks[1], priority: 9, concurrency: { key: "shorten", limit: 1 } },
          flow.tasks[2],
        ],
      },
    ],
    [
      "conditions and maps",
      {
        tasks: [
          { ...flow.tasks[0], for_each: ["a", "b"] },
          {
            id: "short",
            capability: "shorten",
            needs: ["get"],
            when: "size(tasks.get.outputs) == 2",
            input: { text: "{{ tasks.get.outputs[1].text }}" },
          },
          { id: "score", capability: "rate", needs: ["get"], input: { text: "{{ tasks.get.outputs[0].text }}" } },
        ],
      },
    ],
    [
      "loops and waits",
      {
        tasks: [
          { id: "pause", wait: { for: "1ms" } },
          { id: "again", needs: ["pause"], loop: { body: [flow.tasks[0]], until: "index == 1", max: 3 } },
          {
            id: "short",
            capability: "shorten",
            needs: ["again"],
            input: { text: "{{ tasks.again.output.outputs.get.text }}" },
          },
          { id: "score", capability: "rate", needs: ["again"], input: { text: "t" } },
        ],
      },
    ],
  ])("that has %s runs as it is, within the plan", async (_, change) => {
    const { space, agent } = await newLibrary();
    await post(space, "/v1/workflows", { ...flow, ...change });
    const made = await post<PlanRecordBody>(space, "/v1/plans", { goal, planner: "template" });
    expect(made.body.workflow.tasks).toEqual([
      { id: "digest", workflow: "digest@1", input: { address: "{{ inputs.page }}" } },
    ]);
    expect(made.body.tasks).toMatchObject([{ task: "digest", capability: "digest" }]);
    const drawn = await space.call({ path: `/v1/plans/${made.body.id}?format=tree` });
    expect(drawn.text).toContain("digest  (digest@1)");
    const run = await post<RunBody>(space, `/v1/plans/${made.body.id}/accept`);
    // What the engine does itself comes between one task of the agent and the next.
    const status = async () => {
      await agent.work(work);
      return (await space.call<RunBody>({ path: `/v1/runs/${run.body.id}` })).body.status;
    };
    await expect.poll(status, { timeout: 20_000 }).toBe("completed");
    const { body } = await space.call({ path: `/v1/runs/${run.body.id}/result` });
    expect(body).toMatchObject({ status: "completed", outputs: { summary: "s", score: 1 } });
    expect((await post(space, `/v1/runs/${run.body.id}/workflow`, { name: "kept" })).status).toBe(201);
    const kept = await post<PlanRecordBody>(space, "/v1/plans", { goal, planner: "template", template: "kept" });
    expect(kept.body.workflow).toMatchObject({ name: "kept", tasks: [{ workflow: "digest@1" }] });
  });

  it("is run by a plan of the client's own, too, where that names its version", async () => {
    const { space } = await newLibrary();
    await post(space, "/v1/workflows", { ...flow, labels: { team: "a" } });
    const calling = (reference: string, url: string) => ({
      name: "mine",
      tasks: [{ id: "all", workflow: reference, input: { address: url } }],
      outputs: { summary: "{{ tasks.all.output.short }}", score: "{{ tasks.all.output.rated }}" },
    });
    const propose = (reference: string, url = "{{ inputs.page }}") =>
      post<{ status: string; code: string }>(space, "/v1/plans", { goal, workflow: calling(reference, url) });
    expect((await propose("digest@1")).body).toMatchObject({ status: "proposed" });
    expect((await propose("digest@1", "https://collector.example")).body.code).toBe("PLAN_LITERAL_NOT_ALLOWED");
    for (const reference of ["digest", "digest@2", "dijest@1"]) {
      expect((await propose(reference)).body).toMatchObject({ code: "PLAN_REFUSED", status: 422 });
    }
  });

  it("is run in one go, too", async () => {
    const { space, agent } = await newLibrary();
    await post(space, "/v1/workflows", flow);
    const run = await post<RunBody>(space, "/v1/runs", { goal, planner: "template", template: "digest" });
    await agent.work(work);
    expect((await space.finished(run.body.id)).status).toBe("completed");
  });

  it("is saved from a run as it was patched, with the goal of its plan", async () => {
    const { space, agent } = await newLibrary();
    const run = await post<RunBody>(space, "/v1/runs", { goal });
    const patched = await space.call({
      method: "PATCH",
      path: `/v1/runs/${run.body.id}/graph`,
      headers: { "if-match": '"0"' },
      body: {
        replace: [
          {
            id: "rate",
            description: "Patched.",
            capability: "rate",
            needs: ["read"],
            input: { text: "{{ tasks.read.output.text }}" },
          },
        ],
      },
    });
    expect(patched.status).toBe(200);
    await agent.work(work);
    await space.finished(run.body.id);
    const save = () => post(space, `/v1/runs/${run.body.id}/workflow`, { name: "saved", description: "Kept." });
    const saved = await save();
    expect([saved.status, (await save()).status]).toEqual([201, 200]);
    expect(saved.body).toMatchObject({
      name: "saved",
      version: 1,
      definition: {
        description: "Kept.",
        goal: { have: { page: "web.url" }, want: goal.want },
        inputs: { required: ["page"] },
      },
    });
    const made = await post<PlanRecordBody>(space, "/v1/plans", { goal, planner: "template" });
    expect(made.body.tasks).toContainEqual({ task: "rate", capability: "rate", reason: "Patched." });
  });

  it.each<[string, object, object, string, string]>([
    ["that nobody registered", {}, { template: "none" }, "WORKFLOW_NOT_FOUND", "none"],
    ["in a version that is not there", {}, { template: "digest@7" }, "WORKFLOW_NOT_FOUND", "digest@7"],
    ["that declares no goal", { goal: undefined }, {}, "PLAN_IMPOSSIBLE", "No registered workflow declares a `goal`"],
    [
      "of capabilities that nobody offers",
      { tasks: [{ ...flow.tasks[0], capability: "raed", retry: { max_attempts: 2 } }, ...flow.tasks.slice(1)] },
      {},
      "PLAN_CAPABILITY_UNKNOWN",
      'Template digest@1: Task "digest" runs the workflow "digest@1": its task "get" uses "raed", which no live agent offers',
    ],
    [
      "that uses what the goal must not",
      { labels: { team: "a" } },
      { goal: { ...goal, must_not_use: ["rate"] } },
      "PLAN_CAPABILITY_NOT_ALLOWED",
      'its task "score" uses "rate"',
    ],
    ["for another planner", {}, { planner: "capability", template: "digest" }, "REQUEST_INVALID", "has `template`"],
  ])("%s is refused", async (_, change, asked, code, text) => {
    const { space } = await newLibrary();
    expect((await post(space, "/v1/workflows", { ...flow, ...change })).status).toBe(201);
    const { body } = await post<{ code: string }>(space, "/v1/plans", { goal, planner: "template", ...asked });
    expect(body.code).toBe(code);
    expect(JSON.stringify(body).replaceAll('\\"', '"')).toContain(text);
  });

  it("whose goal wants what is not among its outputs is not registered", async () => {
    const { space } = await newLibrary();
    const { body } = await post<{ errors: { pointer: string; message: string }[] }>(space, "/v1/workflows", {
      ...flow,
      goal: { want: { shrt: "document.summary" } },
    });
    expect(body.errors).toMatchObject([{ pointer: "/goal/want/shrt", message: expect.stringContaining('"short"') }]);
    const nothing = await post<typeof body>(space, "/v1/workflows", { ...flow, goal: { want: {} } });
    expect(nothing.body.errors).toMatchObject([
      { pointer: "/goal/want", message: expect.stringContaining("wants nothing") },
    ]);
  });

  it("is not saved from a run of somebody else", async () => {
    const { space } = await newLibrary();
    const run = await post<RunBody>(space, "/v1/runs", { goal });
    const stranger = await server.newNamespace();
    const { body } = await post(stranger, `/v1/runs/${run.body.id}/workflow`, { name: "saved" });
    expect(body).toMatchObject({ code: "RUN_NOT_FOUND" });
  });
});

describe("a goal", () => {
  it("that agents could reach which are gone says which", async () => {
    const { space, agent } = await newLibrary();
    await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    await space.join([rate]);
    const { body } = await post<{ code: string; errors: { message: string }[] }>(space, "/v1/plans", { goal });
    expect(body.code).toBe("PLAN_IMPOSSIBLE");
    expect(body.errors.map(({ message }) => message)).toEqual([
      "No live agent offers `read`, `shorten`, with which there would be a plan; start one that does.",
      expect.stringContaining("Nothing gives document.summary"),
      expect.stringContaining("the nearest capability that gives it is `rate`, which lacks document.text"),
    ]);
  });

  it("whose value the best capability does not take is planned with another one", async () => {
    const space = await server.newNamespace();
    const taking = (name: string, cost: number, url: object) => ({
      ...read,
      name,
      cost,
      input_schema: { type: "object", properties: { url }, required: ["url"] } as never,
    });
    await space.join([
      taking("by-http", 1, { type: "string", pattern: "^http:" }),
      taking("by-any", 2, { type: "string" }),
    ]);
    const made = (value: string) =>
      post<PlanRecordBody>(space, "/v1/plans", {
        goal: { have: { page: { type: "web.url", value } }, want: { text: "document.text" } },
      });
    expect((await made("http://a.example")).body).toMatchObject({ is_best: true, tasks: [{ capability: "by-http" }] });
    expect((await made("ftp://a.example")).body).toMatchObject({ is_best: false, tasks: [{ capability: "by-any" }] });
  });

  it("is planned and run in one go, with its plan beside it", async () => {
    const { space, agent } = await newLibrary();
    const submitted = await post<RunBody>(space, "/v1/runs", { goal, labels: { team: "a" } });
    expect(submitted.status).toBe(202);
    const planId = submitted.body.labels["skein.plan"]!;
    expect(submitted.body.labels).toEqual({ team: "a", "skein.plan": planId });
    const stored = (await space.call<PlanRecordBody>({ path: `/v1/plans/${planId}` })).body;
    expect(stored).toMatchObject({ status: "accepted", run_id: submitted.body.id });
    await agent.work(() => ({ text: "t", score: 1, summary: "s" }));
    expect((await space.finished(submitted.body.id)).status).toBe("completed");
  });

  it("that is submitted again under its key is the same run, even if nobody could plan it any more", async () => {
    const { space, agent } = await newLibrary();
    const headers = { "idempotency-key": randomUUID() };
    const submit = (body: object = { goal }) => post<RunBody>(space, "/v1/runs", body, headers);
    const { id } = (await submit()).body;
    await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    expect((await submit()).body.id).toBe(id);
    const other = await submit({ goal, priority: 9 });
    expect(other.body).toMatchObject({ code: "IDEMPOTENCY_KEY_REUSED" });
  });

  it.each<[string, string, object]>([
    ["asked for", "/v1/plans", { goal }],
    ["that waits for a review", "/v1/runs", { goal, plan_review: "required" }],
  ])("%s again under its key is the same plan, even if nobody could make it any more", async (_, path, body) => {
    const { space, agent } = await newLibrary();
    const headers = { "idempotency-key": randomUUID() };
    const ask = (asked: object) => post<PlanRecordBody>(space, path, asked, headers);
    const [first, second] = await Promise.all([ask(body), ask(body)]);
    expect(first.body).toEqual(second.body);
    await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    const again = await ask(body);
    expect([again.status, again.body, again.headers.location]).toEqual([201, first.body, first.headers.location]);
    const plans = await space.call<{ data: unknown[] }>({ path: "/v1/plans" });
    expect(plans.body.data).toHaveLength(1);
    for (const [to, other] of [
      [path, { ...body, planner: "capability" }],
      ["/v1/runs", { goal }],
    ] as const) {
      expect((await post(space, to, other, headers)).body).toMatchObject({ code: "IDEMPOTENCY_KEY_REUSED" });
    }
  });

  it("waits for a review where one is required", async () => {
    const { space } = await newLibrary();
    const held = await post<PlanRecordBody>(space, "/v1/runs", { goal, plan_review: "required", priority: 2 });
    expect([held.status, held.headers.location]).toEqual([201, `/v1/plans/${held.body.id}`]);
    expect((await space.call<{ data: RunBody[] }>({ path: "/v1/runs" })).body.data).toEqual([]);
    const run = await post<RunBody>(space, `/v1/plans/${held.body.id}/accept`);
    expect(run.body).toMatchObject({ priority: 2, inputs: { page: "https://a.example" } });
  });

  it.each<[string, object, string, string, string]>([
    [
      "that nothing gives",
      { goal: { want: { x: "document.sumary" } } },
      "PLAN_IMPOSSIBLE",
      "/goal/want/x",
      'Did you mean "document.summary"?',
    ],
    [
      "that lacks an input",
      { goal: { want: { x: "document.score" } } },
      "PLAN_IMPOSSIBLE",
      "/goal/want/x",
      "`rate`, which lacks document.text",
    ],
    [
      "that has all it wants",
      { goal: { have: { a: { type: "t" } }, want: { b: "t" } } },
      "PLAN_EMPTY",
      "/goal/want",
      "take it",
    ],
    [
      "that contradicts itself",
      { goal: { ...goal, must_use: ["read"], must_not_use: ["read"] } },
      "GOAL_INVALID",
      "/goal/must_use",
      '"read"',
    ],
    [
      "whose value is not what it says",
      { goal: { ...goal, have: { page: { type: "web.url", value: 1, schema: { type: "string" } } } } },
      "GOAL_INVALID",
      "/goal/have/page",
      "does not fit its schema: must be string",
    ],
    [
      "with a schema that is none",
      { goal: { ...goal, have: { page: { type: "web.url", schema: { type: "text" } } } } },
      "GOAL_INVALID",
      "/goal/have/page/schema/type",
      "",
    ],
    ["that is too dear", { goal: { ...goal, budget: 1 } }, "PLAN_IMPOSSIBLE", "/goal/budget", "costs 2"],
    ["that wants nothing", { goal: { want: {} } }, "REQUEST_INVALID", "/goal/want", "must name what is wanted by type"],
    [
      "for a planner that is not there",
      { goal, planner: "oracle" },
      "PLANNER_UNKNOWN",
      "",
      "there is capability, llm, template",
    ],
    ["beside a workflow", { goal, workflow: "flow" }, "REQUEST_INVALID", "", "needs one of"],
  ])("%s is refused, and nothing runs", async (_, body, code, pointer, text) => {
    const { space } = await newLibrary();
    const { body: problem } = await post<{
      code: string;
      detail: string;
      errors?: { pointer: string; message: string }[];
    }>(space, "/v1/runs", body);
    expect(problem.code).toBe(code);
    expect(JSON.stringify(problem).replaceAll('\\"', '"')).toContain(text);
    if (pointer) expect(problem.errors?.[0]?.pointer).toBe(pointer);
    expect((await space.call<{ data: RunBody[] }>({ path: "/v1/runs" })).body.data).toEqual([]);
  });

  it("has no plan where there are no capabilities", async () => {
    const space = await server.newNamespace();
    const { body } = await post<{ code: string; detail: string }>(space, "/v1/plans", { goal });
    expect(body).toMatchObject({ code: "PLAN_IMPOSSIBLE", detail: expect.stringContaining("no live agent offers") });
  });
});

describe("a capability", () => {
  it("is listed with what planners read of it", async () => {
    const { space } = await newLibrary();
    const { body } = await space.call<{ data: CapabilityBody[] }>({ path: "/v1/capabilities" });
    expect(body.data.find(({ name }) => name === "read")).toMatchObject({
      consumes: { url: "web.url" },
      produces: { text: "document.text" },
      cost: 2,
      duration_ms: 100,
      reliability: 1,
    });
  });

  it.each([
    [
      "requires what it has no type for",
      { input_schema: { type: "object", required: ["lang"] } },
      "/capabilities/0/consumes",
    ],
    [
      "has no such field",
      { input_schema: { type: "object", properties: {}, additionalProperties: false } },
      "/capabilities/0/consumes/url",
    ],
  ])("whose contract %s is not registered", async (_, contract, pointer) => {
    const space = await server.newNamespace();
    const { body } = await post<{ code: string; errors: { pointer: string }[] }>(space, "/v1/agents", {
      name: "a",
      capabilities: [{ ...read, ...contract }],
    });
    expect([body.code, body.errors[0]!.pointer]).toEqual(["CAPABILITY_INVALID", pointer]);
  });
});
