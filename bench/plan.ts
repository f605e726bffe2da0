/**
 * The typed planner: `npm run bench:plan [goals of a kind]`. Goals whose shortest plans are known, out of the tool graphs of
 * TaskBench, and catalogues made to be hard; by kind, how many were planned, how many of these pass the gate and are proven to be best, how
 * many are as short as is known, and how long it took.
 */
import { defaultLimits } from "../core/limits.ts";
import { capabilityPlanner } from "../core/planner/capability-planner.ts";
import { judgePlan } from "../core/planner/gate.ts";
import { type GoalInput, goalSchema } from "../core/planner/goal.ts";
import type { Plan } from "../core/planner/planner.ts";
import { randomOf } from "../test/chaos/mixed-dags.ts";
import {
  coarseSample,
  hasToolGraphs,
  latticeSample,
  randomSample,
  refinedSample,
  ringSample,
  type Sample,
  toolGraphFolder,
  toolGraphs,
  twinSample,
} from "../test/planning/catalogues.ts";
import { table } from "./report.ts";
import { percentile } from "./statistics.ts";

const GOALS = Number(process.argv[2] ?? 100);
const HUGE_GOALS = Math.ceil(GOALS / 4);
const TARGET_MS = { large: 20, huge: 200 };

const random = randomOf(20_261_126);
const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
const sizes = (index: number) => 1 + (index % 10);

/** What of it is wanted; so how short a plan can be is not known. */
function withWish(sample: Sample, wish: Partial<GoalInput>): Sample {
  return { ...sample, goal: goalSchema.parse({ ...sample.goal, ...wish }), tasks: undefined };
}

interface Kind {
  name: string;
  samples: Sample[];
  targetMs: number;
}

const kinds: Kind[] = [
  ...(hasToolGraphs ? toolGraphs : []).flatMap((graph): Kind[] => [
    {
      name: `${graph}, refined types, 1–10 tasks`,
      samples: times(GOALS, (index) => refinedSample(graph, sizes(index), random)).filter((one) => one !== undefined),
      targetMs: TARGET_MS.large,
    },
    {
      name: `${graph}, coarse types, must use 1–10`,
      samples: times(GOALS, (index) => coarseSample(graph, sizes(index), random)),
      targetMs: TARGET_MS.large,
    },
  ]),
  ...(
    [
      [1_000, GOALS, TARGET_MS.large],
      [10_000, HUGE_GOALS, TARGET_MS.huge],
    ] as const
  ).flatMap(([count, goals, targetMs]): Kind[] => [
    { name: `rings of ${count}`, samples: times(goals, (i) => ringSample(count, sizes(i), random)), targetMs },
    { name: `near duplicates, ${count}`, samples: times(goals, (i) => twinSample(count, sizes(i), random)), targetMs },
    {
      name: `lattices of ${count}`,
      samples: times(goals, (i) => latticeSample(count, 2 + (i % 3), 40, random)),
      targetMs,
    },
    {
      name: `lattices of ${count}, fastest`,
      samples: times(goals, (i) => withWish(latticeSample(count, 2 + (i % 3), 40, random), { prefer: "fastest" })),
      targetMs,
    },
    {
      name: `rings of ${count}, with a budget`,
      samples: times(goals, (i) => withWish(ringSample(count, sizes(i), random), { budget: 300 })),
      targetMs,
    },
    { name: `random, ${count}`, samples: times(goals, () => randomSample(count, random)), targetMs },
  ]),
];

if (!hasToolGraphs) console.warn(`NOT RUN: the tool graphs are not in ${toolGraphFolder}`);
// The first plans are of code that has not been compiled yet.
for (const { samples } of kinds) for (const one of samples.slice(0, 10)) measure(one);

const rows = [
  [
    "goals",
    "planned",
    "impossible",
    "pass the gate",
    "proven best",
    "as short as known",
    "tasks",
    "p50 ms",
    "p95 ms",
    "max ms",
    "target ms",
  ],
];
for (const { name, samples, targetMs } of kinds) {
  const measured = samples.map(measure);
  const planned = measured.flatMap(({ got, sample }) =>
    got.outcome === "planned" ? [{ plan: got.plan, sample }] : [],
  );
  const known = planned.filter(({ sample }) => sample.tasks !== undefined);
  const ms = measured.map((one) => one.ms);
  const shortest = known.filter(({ plan, sample }) => plan.estimate.tasks === sample.tasks).length;
  rows.push([
    `${name} (${samples.length})`,
    String(planned.length),
    String(measured.length - planned.length),
    String(planned.filter(passesTheGate).length),
    String(planned.filter(({ plan }) => plan.isBest).length),
    known.length === 0 ? "" : `${shortest}/${known.length}`,
    String(Math.max(0, ...planned.map(({ plan }) => plan.estimate.tasks))),
    percentile(ms, 0.5).toFixed(1),
    percentile(ms, 0.95).toFixed(1),
    Math.max(...ms).toFixed(1),
    `≤ ${targetMs}`,
  ]);
}
console.log(table(rows));

function passesTheGate({ plan, sample }: { plan: Plan; sample: Sample }): boolean {
  const { goal, capabilities } = sample;
  return judgePlan(plan.workflow, { goal, capabilities, limits: defaultLimits }).issues.length === 0;
}

function measure(sample: Sample): { sample: Sample; got: ReturnType<typeof capabilityPlanner.plan>; ms: number } {
  const start = performance.now();
  const got = capabilityPlanner.plan(sample.goal, sample.capabilities);
  return { sample, got, ms: performance.now() - start };
}
