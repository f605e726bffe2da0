/**
 * Goals planned, gated and run to a result, with fake executors that refuse values of another type than they declare: out
 * of both tool graphs of TaskBench, and out of catalogues made up here. The graphs stand beside the repository; without
 * them their part is skipped, and says so. `SKEIN_PLAN_SEED` tries others, `SKEIN_PLAN_GOALS` more, `SKEIN_PLAN_GRAPHS` those of
 * other tools.
 */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startExecutor } from "../../agents/executor_agents/executor.ts";
import { loadConfig } from "../../config.ts";
import type { JsonObject } from "../../core/json.ts";
import type { FieldTypes, PlannableCapability } from "../../core/planner/capability.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { defineExecutor, type Executor, NonRetryableError } from "../../sdk/executor.ts";
import { randomOf } from "../chaos/mixed-dags.ts";
import {
  coarseSample,
  hasToolGraphs,
  latticeSample,
  otherGraphs,
  randomSample,
  reachableSample,
  refinedSample,
  ringSample,
  type Sample,
  toolGraphFolder,
  toolGraphs,
  twinSample,
} from "./catalogues.ts";

const SEED = Number(process.env.SKEIN_PLAN_SEED ?? 20_261_126);
const sizes = Array.from({ length: 10 }, (_, index) => index + 1);
/** Goals of each size and kind, out of each graph. */
const GOALS = Number(process.env.SKEIN_PLAN_GOALS ?? 1);
const slow = { timeout: 1_800_000 };
const logger = pino({ level: "silent" });

if (!hasToolGraphs) console.warn(`NOT RUN: no tool graphs in ${toolGraphFolder}`);

let system: Embedded;
beforeAll(async () => {
  system = await startEmbedded({ config: loadConfig({ PORT: "0" }), logger, inMemory: true, withoutExecutor: true });
});
afterAll(() => system?.stop());

/** A value says of which type it is and what made it of what: `text|shorten(url|page)`. */
function fake({ name, consumes, produces, cost, durationMs, reliability }: PlannableCapability): Executor {
  return defineExecutor({
    capability: name,
    consumes,
    produces,
    cost,
    durationMs,
    reliability,
    input: objectOf(consumes),
    output: objectOf(produces),
    run: ({ input }) => {
      const values = input as Record<string, string>;
      for (const [field, type] of Object.entries(consumes)) {
        if (!values[field]!.startsWith(`${type}|`)) {
          throw new NonRetryableError(`${name} wants ${type} as ${field}, not ${values[field]}`);
        }
      }
      return made(
        name,
        Object.keys(consumes).map((field) => values[field]!),
        produces,
      );
    },
  });
}

function objectOf(fields: FieldTypes): JsonObject {
  const properties = Object.fromEntries(Object.keys(fields).map((field) => [field, { type: "string" }]));
  return { type: "object", properties, required: Object.keys(fields), additionalProperties: false };
}

/** By field. The same work on the same values gives the same, however often its text is written out. */
function made(name: string, values: readonly string[], produces: FieldTypes): Record<string, string> {
  const term = `${name}(${values.map(brief).join(",")})`;
  return Object.fromEntries(Object.entries(produces).map(([field, type]) => [field, `${type}|${term}`]));
}

/** Terms grow as trees do while plans are DAGs. */
function brief(value: string): string {
  if (value.length < 200) return value;
  let hash = 0;
  for (const character of value) hash = (Math.imul(hash, 31) + character.codePointAt(0)!) | 0;
  return `${value.slice(0, 100)}…${hash >>> 0}`;
}

/** Capabilities that one agent may have. */
const PER_AGENT = 1_000;

function startFakes(capabilities: readonly PlannableCapability[]) {
  const teams = Array.from({ length: Math.ceil(capabilities.length / PER_AGENT) }, (_, team) =>
    capabilities.slice(team * PER_AGENT, (team + 1) * PER_AGENT).map(fake),
  );
  const start = (executors: Executor[], team: number) =>
    startExecutor({ client: { url: system.url }, executors, name: `fakes-${team}`, logger });
  return Promise.all(teams.map(start));
}

async function planAndRun({ goal, capabilities }: Sample) {
  const client = createClient({ url: system.url });
  const agents = await startFakes(capabilities);
  try {
    const have = Object.entries(goal.have).map(([name, { type }]) => [name, { type, value: `${type}|${name}` }]);
    const run = await client.runs.submit({ goal: { ...goal, have: Object.fromEntries(have) } }, { wait: 30 });
    const { status, outputs, error } = await client.runs.result(run.id);
    const plan = await client.plans.get(run.labels["skein.plan"]!);
    return {
      status,
      outputs: outputs as Record<string, string>,
      error,
      plan,
      capabilities: plan.tasks.map((task) => task.capability),
    };
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()));
  }
}

/** What the result has to be where there is only one way to it: from the catalogue, without any planner. */
function expectedOf({ goal, capabilities, members = [] }: Sample): string {
  const have = new Map(Object.entries(goal.have).map(([name, { type }]) => [type, `${type}|${name}`]));
  const makers = new Map(
    capabilities
      .filter(({ name }) => members.includes(name))
      .flatMap((one) => Object.values(one.produces).map((type) => [type, one] as const)),
  );
  const resultOf = (type: string): string => {
    const given = have.get(type);
    if (given !== undefined) return given;
    const { name, consumes, produces } = makers.get(type)!;
    const term = made(name, Object.values(consumes).map(resultOf), produces);
    return Object.values(term).find((value) => value.startsWith(`${type}|`))!;
  };
  return resultOf(Object.values(goal.want)[0]!);
}

/** What it has to be where tools are used one after the other, each on the latest value of its types. */
function expectedInTurn({ goal, capabilities }: Sample): string {
  const latest = new Map(Object.entries(goal.have).map(([name, { type }]) => [type, `${type}|${name}`]));
  for (const name of goal.must_use!) {
    const { consumes, produces } = capabilities.find((one) => one.name === name)!;
    const values = Object.values(consumes).map((type) => latest.get(type)!);
    for (const value of Object.values(made(name, values, produces))) latest.set(value.split("|")[0]!, value);
  }
  return latest.get(Object.values(goal.want)[0]!)!;
}

const graphs = [...(hasToolGraphs ? toolGraphs : []), ...otherGraphs];
describe.skipIf(graphs.length === 0).each(graphs)("goals out of the tool graph of %s", (graph) => {
  it.for(sizes)("with one way of %i tasks: planned so, and run to its result", slow, async (size, { skip }) => {
    const random = randomOf(SEED + size);
    const samples = drawn(GOALS, () => refinedSample(graph, size, random));
    if (samples.length === 0) skip(`no ${size} of its tools give one another what they take`);
    for (const sample of samples) {
      const got = await planAndRun(sample);
      expect(got).toMatchObject({ status: "completed", error: null, outputs: { result: expectedOf(sample) } });
      expect(got.capabilities.toSorted()).toEqual(sample.members!.toSorted());
      expect(got.plan.is_best).toBe(true);
    }
  });

  it.each(sizes)("that must use up to %i tools in turn", slow, async (size) => {
    const random = randomOf(SEED + size);
    for (const sample of drawn(GOALS, () => coarseSample(graph, size, random))) {
      const got = await planAndRun(sample);
      expect(got).toMatchObject({ status: "completed", error: null, outputs: { result: expectedInTurn(sample) } });
      expect(got.capabilities).toEqual(sample.members);
    }
  });

  it("for anything that its tools can make of what there is", slow, async () => {
    const random = randomOf(SEED);
    for (const sample of drawn(GOALS * sizes.length, () => reachableSample(graph, random))) {
      const got = await planAndRun(sample);
      expect(got).toMatchObject({ status: "completed", error: null });
      expect(got.outputs.result!.split("|")[0]).toBe(sample.goal.want.result);
      expect(got.plan.is_best).toBe(true);
    }
  });
});

/** As many as are asked for, unless there seem to be none. */
function drawn(count: number, draw: () => Sample | undefined): Sample[] {
  const samples: Sample[] = [];
  for (let tries = 0; samples.length < count && tries < count + 1_000; tries++) samples.push(...[draw() ?? []].flat());
  return samples;
}

describe("goals out of made up catalogues are planned, and run to a result of the type that is wanted", () => {
  const random = randomOf(SEED);
  let completed = 0;
  const samples = [
    ...[1, 4, 9].map((distance) => ringSample(60, distance, random)),
    ...[1, 5, 10].map((layers) => twinSample(200, layers, random)),
    ...[2, 3].map((layers) => latticeSample(200, layers, 8, random)),
    ...Array.from({ length: 12 }, () => randomSample(40, random)),
  ];

  it.each(samples.map((sample, index) => [`${index}: ${sample.name}`, sample] as const))(
    "%s",
    { timeout: 60_000 },
    async (_, sample) => {
      const wish = sample.goal;
      const run = planAndRun(sample);
      const got = await run.catch((error: { code: string }) => error.code);
      if (typeof got === "string") {
        // Of those at random many have no plan; whether that is so is seen to in core/planner/optimal.test.ts.
        expect(sample.tasks).toBeUndefined();
        expect(got).toMatch(/^PLAN_(IMPOSSIBLE|EMPTY)$/);
        return;
      }
      completed++;
      expect(got).toMatchObject({ status: "completed", error: null });
      for (const [name, type] of Object.entries(wish.want)) expect(got.outputs[name]!.split("|")[0]).toBe(type);
      if (sample.tasks !== undefined) expect(got.capabilities).toHaveLength(sample.tasks);
    },
  );

  it("and most of them have one", () => {
    expect(completed).toBeGreaterThan(samples.length / 3);
  });
});
