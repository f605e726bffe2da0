/** The goal of the example, planned by types, shown, and run to its result; from the command line and in code. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { API_KEY, say, startChatServer } from "../../agents/executor_agents/llm/chat-server.suite.ts";
import { invoke } from "../../cli/invoke.suite.ts";
import { createClient, type Embedded, loadConfig, startEmbedded } from "../../index.ts";
import * as newsroom from "./newsroom.ts";

const file = join(import.meta.dirname, "goal.yaml");
const result = "A skein of geese has crossed the Atlantic in formation. [atlantic, crossed, formation]";

let system: Embedded;
beforeAll(async () => {
  system = await startEmbedded({
    config: loadConfig({ PORT: "0" }),
    logger: pino({ level: "silent" }),
    executors: Object.values(newsroom),
    inMemory: true,
  });
});
afterAll(() => system?.stop());

const skein = (...args: string[]) => invoke(["--server", system.url, ...args]);

describe("the goal", () => {
  it("is planned by types, and run to its result", async () => {
    const client = createClient({ url: system.url });
    const goal = parse(readFileSync(file, "utf8"));
    const plan = await client.plans.create({ goal });
    expect(plan.tasks.map(({ capability }) => capability)).toEqual([
      "news.keywords",
      "news.sentences",
      "news.lead",
      "news.brief",
    ]);
    expect(plan.alternatives.map(({ task, capability, cost }) => [task, capability, cost])).toEqual([
      ["news_lead", "news.ghostwriter", 19],
    ]);
    const run = await client.runs.submit({ goal }, { wait: 30 });
    expect(await client.runs.result(run.id)).toEqual({ status: "completed", outputs: { brief: result }, error: null });
    const proposed = await client.plans.propose({ goal, priority: 3 });
    expect(await client.plans.accept(proposed.id)).toMatchObject({ priority: 3, inputs: run.inputs });
    const shorter = await client.plans.create({ goal: { ...goal, prefer: undefined } });
    expect(shorter.tasks.map(({ capability }) => capability)).toContain("news.ghostwriter");
  });

  it("is shown by skein plan as a tree with its reasons, and as Mermaid", async () => {
    const { code, stdout, stderr } = await skein("plan", "--goal", file);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^To run it: skein plans accept [0-9a-f-]{36}\n$/)]);
    expect(stdout).toContain("4 tasks, at most 3 in a row; costs 4");
    expect(stdout).toContain("├─ news_keywords  (news.keywords)");
    expect(stdout).toContain("news_brief  (news.brief)  ← ");
    expect(stdout).toContain("Gives news.brief, which is wanted as `brief`; nothing else gives news.brief.");
    expect(stdout).toContain("news_sentences → news_lead: `sentences` takes article.sentences");
    expect(stdout).toContain(
      "instead of news_lead: `news.ghostwriter` costs 19 more, takes 200 ms less, is more reliable.",
    );
    expect(stdout).toContain("flowchart ");
  });

  it("may be said in one line, reviewed, and accepted or rejected", async () => {
    const text = "article:article.text -> brief:news.brief";
    const planned = await skein("--json", "plan", text, "--must-not-use", "news.ghostwriter");
    const { id } = JSON.parse(planned.stdout);
    expect((await skein("plans", "get", id)).stdout).toContain("proposed, by planner capability");
    const waiting = (await skein("plans", "list")).stdout;
    expect(waiting).toMatch(new RegExp(`${id} .* capability +4 +4 +article.text -> news.brief\n`));
    const accepted = await skein("plans", "accept", id, "--input", "article=Geese fly together.", "--watch");
    expect([accepted.code, accepted.stdout]).toEqual([0, expect.stringContaining("Geese fly together. [together]")]);
    expect((await skein("plans", "reject", id)).stderr).toContain("[PLAN_ALREADY_DECIDED]");
    const other = JSON.parse((await skein("--json", "plan", text)).stdout).id;
    expect((await skein("plans", "list", "--status", "accepted")).stdout).toContain(id);
    expect((await skein("plans", "reject", other)).stdout).toBe(`Plan ${other} is rejected; it never runs.\n`);
  });

  it("is what a plan of one's own is held against", async () => {
    const { workflow } = JSON.parse((await skein("--json", "plan", "--goal", file)).stdout);
    const folder = await mkdtemp(join(tmpdir(), "skein-plan-"));
    const own = join(folder, "mine.json");
    try {
      await writeFile(own, JSON.stringify(workflow));
      const taken = await skein("plan", "--goal", file, "--workflow", own);
      expect([taken.code, taken.stdout]).toEqual([0, expect.stringContaining("proposed, by planner client")]);
      expect(taken.stdout).toContain("there may be a better one\n");
      await writeFile(own, JSON.stringify({ ...workflow, deadline: "1h" }));
      const refused = await skein("plan", "--goal", file, "--workflow", own);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("The plan has `deadline`")]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is planned and run at once with --accept", async () => {
    const { code, stdout } = await skein("plan", "--goal", file, "--accept");
    expect([code, stdout]).toEqual([0, expect.stringContaining(result)]);
  });

  it.each([
    [["plan"], "Give one goal"],
    [["plan", "summarise this"], "is not a goal"],
    [["plan", "article.text -> news.breif"], 'Did you mean "news.brief"?'],
    [["plan", "x -> y", "--planner", "oracle"], "there is capability, llm"],
    [["plan", "article.text -> news.brief", "--planner", "llm"], "No model is configured"],
    [["plan", "article.text -> news.brief", "--input", "a=b"], "add --accept"],
    [["plan", "article.text -> news.brief", "--budget", "2"], "The cheapest plan costs 4"],
  ])("is refused in one sentence where it cannot be planned: %j", async (args, text) => {
    const { code, stderr } = await skein(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(text)]);
  });
});

describe("the same goal", () => {
  /** What a model might answer, which passes over one that would do it all, for twenty times as much. */
  const answer = {
    tasks: [
      {
        id: "sentences",
        capability: "news.sentences",
        reason: "The lead is one of them.",
        input: { text: { have: "article" } },
      },
      {
        id: "keywords",
        capability: "news.keywords",
        reason: "A brief has them.",
        input: { text: { have: "article" } },
      },
      {
        id: "lead",
        capability: "news.lead",
        reason: "A brief begins with it.",
        input: { sentences: { task: "sentences", output: "sentences" } },
      },
      {
        id: "brief",
        capability: "news.brief",
        reason: "It is wanted.",
        input: { lead: { task: "lead", output: "lead" }, keywords: { task: "keywords", output: "keywords" } },
      },
    ],
    outputs: { brief: { task: "brief", output: "brief" } },
  };

  it("is planned anew on the day of the strike, by skein plan --on-failure replan, and verified", async () => {
    const args = [
      "plan",
      "--goal",
      file,
      "--executors",
      join(import.meta.dirname, "strike.ts"),
      "--verify",
      "news.proof",
    ];
    const { code, stdout } = await invoke([...args, "--accept", "--on-failure", "replan"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/task\.failed task=news_lead .*STRIKE/);
    expect(stdout).toMatch(/run\.patched .*added=news_ghostwriter,news_brief_2,news_proof_2/);
    expect(stdout).toContain('"brief": "You will not believe this');
    expect(await invoke([...args, "--on-failure", "replan"])).toMatchObject({ code: 2 });
    expect(await invoke([...args, "--accept", "--rounds", "2"])).toMatchObject({ code: 2 });
  });

  it("is planned by a model, whose first plan the gate refuses, and run to the same result", async () => {
    const model = await startChatServer();
    model.answer(say("A brief? Just write one."), say(JSON.stringify(answer)));
    const planning = await startEmbedded({
      config: loadConfig({
        PORT: "0",
        OPENAI_BASE_URL: model.url,
        OPENAI_API_KEY: API_KEY,
        SKEIN_LLM_MODEL: "scripted",
      }),
      logger: pino({ level: "silent" }),
      executors: Object.values(newsroom),
      inMemory: true,
    });
    try {
      const client = createClient({ url: planning.url });
      const goal = parse(readFileSync(file, "utf8"));
      const plan = await client.plans.create({ goal: { ...goal, text: "A brief for the front page" }, planner: "llm" });
      expect(plan).toMatchObject({
        planner: "llm",
        is_best: false,
        estimate: { tasks: 4, depth: 3, cost: 4 },
        transcript: [
          { answer: "A brief? Just write one.", refused: [{ code: "PLAN_ANSWER_INVALID" }] },
          { refused: [], input_tokens: 100 },
        ],
      });
      const run = await client.plans.accept(plan.id);
      for await (const event of client.runs.events(run.id)) void event;
      expect(await client.runs.result(run.id)).toEqual({
        status: "completed",
        outputs: { brief: result },
        error: null,
      });
      model.answer(say(JSON.stringify(answer)));
      await client.plans.create({ goal, planner: "llm" });
      // By now it is an example for the next.
      const [, user] = model.requests[2]!.body.messages as { content: string }[];
      expect(JSON.parse(user!.content).plans_of_the_past).toMatchObject([{ answer: { outputs: answer.outputs } }]);
    } finally {
      await planning.stop();
      await model.close();
    }
  });
});
