/**
 * The model planner: `npm run bench:plan:model [goals]`. Asks the endpoint of OPENAI_BASE_URL and SKEIN_LLM_MODEL to plan goals out
 * of the tool graphs of TaskBench, and scores what it answers against the only shortest plan there is: how many plans pass the
 * gate, the F1 of their capabilities (nodes) and of which feeds which (edges), refusals of the gate, repairs and tokens.
 *
 * Without an endpoint a script plays the model, which shows that the scores are what they should be: of three goals it plans one
 * at once, one after an answer that is no plan, and one with a task too few, however often it is told.
 */

import { API_KEY, say, startChatServer } from "../agents/executor_agents/llm/chat-server.suite.ts";
import { cassetteFetch } from "../agents/orchestrator_agent/model-planner/cassettes.ts";
import { modelAt } from "../agents/orchestrator_agent/model-planner/endpoint.ts";
import { modelPlanner } from "../agents/orchestrator_agent/model-planner/model-planner.ts";
import { loadConfig } from "../config.ts";
import { SkeinError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { defaultLimits } from "../core/limits.ts";
import { capabilityPlanner } from "../core/planner/capability-planner.ts";
import { judgePlan } from "../core/planner/gate.ts";
import { answerOf } from "../core/planner/model/answer.ts";
import { type PlanScore, scorePlan } from "../core/planner/model/score.ts";
import type { Plan } from "../core/planner/planner.ts";
import { randomOf } from "../test/chaos/mixed-dags.ts";
import {
  hasToolGraphs,
  refinedSample,
  ringSample,
  type Sample,
  toolGraphFolder,
  toolGraphs,
} from "../test/planning/catalogues.ts";
import { table } from "./report.ts";

const GOALS = Number(process.argv[2] ?? 30);
/** Of the plans, 1 to so many. */
const MAX_TASKS = 8;
const RING = 30;

const random = randomOf(20_261_126);
const { executor, planning } = loadConfig(process.env);
const { cassettes, ...budget } = planning;
const isScripted = executor.llm?.model === undefined;
const script = isScripted ? await startChatServer() : undefined;
const endpoint = script
  ? { baseUrl: script.url, apiKey: API_KEY, model: "a script" }
  : { ...executor.llm!, model: executor.llm!.model! };
const fetch = cassettes && cassetteFetch(cassettes.folder, cassettes.mode);
const planner = modelPlanner({ ask: modelAt({ ...endpoint, fetch }), others: [capabilityPlanner.name], budget });

if (!hasToolGraphs) console.warn(`NOT RUN: the tool graphs are not in ${toolGraphFolder}`);
const kinds = hasToolGraphs ? [...toolGraphs] : [];
const rows = [["goals", "valid", "node F1", "edge F1", "refusals", "repairs", "tokens", "s"]];
for (const kind of [...kinds, `rings of ${RING}`]) {
  const samples = Array.from({ length: GOALS }, (_, index) => {
    const size = 1 + (index % MAX_TASKS);
    return kind === "huggingface" || kind === "multimedia"
      ? refinedSample(kind, size, random)
      : ringSample(RING, size, random);
  }).filter((one): one is Sample => one !== undefined);
  const scores: Scored[] = [];
  for (const [index, sample] of samples.entries()) scores.push(await score(sample, index));
  rows.push([
    `${kind} (${samples.length})`,
    `${scores.filter(({ isValid }) => isValid).length}/${scores.length}`,
    mean(scores.map(({ nodeF1 }) => nodeF1)).toFixed(3),
    mean(scores.map(({ edgeF1 }) => edgeF1)).toFixed(3),
    String(sum(scores.map(({ refusals }) => refusals))),
    String(sum(scores.map(({ repairs }) => repairs))),
    String(sum(scores.map(({ tokens }) => tokens))),
    (sum(scores.map(({ ms }) => ms)) / 1_000).toFixed(1),
  ]);
}
await script?.close();
console.log(
  `${endpoint.model} at ${new URL(endpoint.baseUrl).host}; a goal without a valid plan counts 0\n\n${table(rows)}`,
);

interface Scored extends PlanScore {
  isValid: boolean;
  refusals: number;
  repairs: number;
  tokens: number;
  ms: number;
}

async function score(sample: Sample, index: number): Promise<Scored> {
  const { goal, capabilities } = sample;
  const best = capabilityPlanner.plan(goal, capabilities);
  if (best.outcome !== "planned") throw new Error(`${sample.name} has no plan`);
  playScript(best.plan, index);
  const began = performance.now();
  const refused: string[] = [];
  const got = await Promise.resolve(
    planner.plan(goal, capabilities, {
      flawsOf: (plan) => {
        const { issues } = judgePlan(plan, { goal, capabilities, limits: defaultLimits });
        refused.push(...issues.map(({ code }) => code));
        return issues;
      },
      accepted: async () => [],
      templates: async () => [],
      signal: new AbortController().signal,
    }),
  ).catch((error: unknown) => {
    if (error instanceof SkeinError && error.code === "PLAN_REFUSED") return undefined;
    throw error;
  });
  const ms = performance.now() - began;
  const made = got?.outcome === "planned" ? got.plan : undefined;
  const rounds = made?.transcript ?? [];
  return {
    ...scorePlan(made?.workflow, best.plan.workflow),
    isValid: made !== undefined,
    refusals: refused.length,
    repairs: Math.max(0, rounds.length - 1),
    tokens: sum(rounds.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens)),
    ms,
  };
}

function playScript({ workflow }: Plan, index: number): void {
  const answer = answerOf(workflow as unknown as JsonObject) as unknown as { tasks: object[] };
  const right = say(JSON.stringify(answer));
  const short = { ...answer, tasks: answer.tasks.slice(0, -1) };
  // Each is another text, or the planner would see that it is told the same again.
  const wrong = (n: number) => say(`${" ".repeat(n)}${JSON.stringify(short)}`);
  const answers = [[right], [say("I would begin with the first tool."), right], [0, 1, 2, 3].map(wrong)];
  script?.answer(...answers[index % answers.length]!);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function mean(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : sum(numbers) / numbers.length;
}
