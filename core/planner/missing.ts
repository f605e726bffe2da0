/** Why there is no plan: exactly what is missing, and which capability came nearest. */
import type { Issue } from "../errors.ts";
import { pointerTo } from "../json.ts";
import { didYouMean } from "../near-miss.ts";
import type { PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";
import { semanticOf } from "./kinds.ts";
import { type Problem, reachable } from "./problem.ts";

/** Links of a chain of missing types that are told. */
const MAX_CHAIN = 8;

/** What is missing for the targets that cannot be reached; none: all can. */
export function missing(goal: Goal, problem: Problem, capabilities: readonly PlannableCapability[]): Issue[] {
  const can = reachable(problem);
  const unreached = Object.entries(goal.want).filter(([, type]) => !can.types[problem.types.indexOf(type)]);
  const needed = [
    ...[...new Set(goal.must_use)].map((name) => ({ name, isVerifier: false, pointer: "/must_use" })),
    ...[...new Set(goal.verify)].map((name) => ({ name, isVerifier: true, pointer: "/verify" })),
  ];
  return [
    ...needed.flatMap(({ name, isVerifier, pointer }) => {
      const what = isVerifier ? "verify" : "be used";
      const step = problem.must.find((index) => {
        const one = problem.steps[index]!;
        return one.capability.name === name && one.isVerifier === isVerifier;
      });
      if (step === undefined) return [issue(unusable(name, what, capabilities), pointer)];
      if (isVerifier && !looksAt(goal, problem, step)) return [issue(blind(name, goal), pointer)];
      if (can.steps[step]) return [];
      const lacks = lacking(problem, can.types, step);
      return [
        issue(
          `\`${name}\`, which must ${what}, lacks ${chainOf(goal, problem, can.types, capabilities, lacks)}`,
          pointer,
        ),
      ];
    }),
    ...unreached.map(([name, type]) =>
      issue(explain(goal, problem, can.types, capabilities, type), pointerTo("/want", name)),
    ),
  ];
}

function issue(message: string, pointer: string): Issue {
  return { code: "PLAN_IMPOSSIBLE", message, pointer };
}

function unusable(name: string, what: string, capabilities: readonly PlannableCapability[]): string {
  const names = new Set(capabilities.map((one) => one.name));
  const why = names.has(name) ? "it declares nothing that it produces" : "no live agent offers it with types";
  return `"${name}" must ${what}, but ${why}.${names.has(name) ? "" : didYouMean(name, names)}`;
}

function looksAt({ want }: Goal, { steps }: Problem, step: number): boolean {
  const wanted = new Set(Object.values(want));
  return Object.values(steps[step]!.capability.consumes).some((type) => wanted.has(type));
}

function blind(name: string, { want }: Goal): string {
  return `\`${name}\`, which must verify, takes nothing that is wanted (${Object.values(want).join(", ")}); name one that does.`;
}

function lacking({ types, steps }: Problem, there: readonly boolean[], step: number): string[] {
  return steps[step]!.takes.filter((type) => !there[type]).map((type) => types[type]!);
}

function explain(
  goal: Goal,
  problem: Problem,
  there: readonly boolean[],
  capabilities: readonly PlannableCapability[],
  type: string,
): string {
  const giver = nearestGiver(problem, there, type);
  if (giver === undefined)
    return `Nothing gives ${type}, which is wanted: ${ungiven(goal, problem, capabilities, type)}`;
  const { capability } = problem.steps[giver]!;
  const lacks = lacking(problem, there, giver);
  return `${type} is wanted; the nearest capability that gives it is \`${capability.name}\`, which lacks ${chainOf(goal, problem, there, capabilities, lacks)}`;
}

/** What is lacking, and what that would take, down to what nothing gives. */
function chainOf(
  goal: Goal,
  problem: Problem,
  there: readonly boolean[],
  capabilities: readonly PlannableCapability[],
  lacks: readonly string[],
): string {
  const told = new Set<string>(lacks);
  const said: string[] = [`${[...told].join(" and ")}.`];
  for (const type of told) {
    if (said.length > MAX_CHAIN) break;
    const giver = nearestGiver(problem, there, type);
    if (giver === undefined) {
      said.push(`Nothing gives ${type}: ${ungiven(goal, problem, capabilities, type)}`);
      continue;
    }
    const further = lacking(problem, there, giver);
    said.push(
      `${type} would come from \`${problem.steps[giver]!.capability.name}\`, which lacks ${further.join(" and ")}.`,
    );
    for (const one of further) told.add(one);
  }
  return said.join(" ");
}

/** Of those that give the type, the one that lacks the fewest inputs; the first by name between equals. */
function nearestGiver({ types, givers, steps }: Problem, there: readonly boolean[], type: string): number | undefined {
  const lack = (step: number) => steps[step]!.takes.filter((taken) => !there[taken]).length;
  const all = givers[types.indexOf(type)] ?? [];
  return all.length === 0 ? undefined : all.reduce((a, b) => (lack(b) < lack(a) ? b : a));
}

/** About a type that nothing usable gives. */
function ungiven(goal: Goal, problem: Problem, capabilities: readonly PlannableCapability[], type: string): string {
  const semantic = semanticOf(type);
  const sources = [
    ...problem.steps.map(({ capability }) => capability),
    ...Object.entries(goal.have).map(([name, value]) => ({ name, produces: { value: value.type } })),
  ].filter(({ produces }) => Object.values(produces).includes(semantic));
  if (semantic !== type && sources.length > 0) {
    return `${sources.map(({ name }) => `\`${name}\``).join(", ")} has it, but as another kind of JSON; make their schemas agree.`;
  }
  const forbidden = capabilities.filter((one) => Object.values(one.produces).includes(type)).map(({ name }) => name);
  if (forbidden.length > 0) {
    return `only ${[...new Set(forbidden)].join(", ")} would, which must not be used; allow one, or have the value.`;
  }
  if (!capabilities.some(({ produces }) => Object.keys(produces).length > 0)) {
    return "no live agent offers a capability that declares what it `produces`; start one that does, or have the value.";
  }
  const typesGiven = new Set([...problem.steps.flatMap(({ capability }) => Object.values(capability.produces))]);
  const held = Object.values(goal.have).map((value) => value.type);
  return `have the value, or start an agent that gives it.${didYouMean(type, new Set([...typesGiven, ...held]))}`;
}
