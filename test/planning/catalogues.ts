/**
 * Catalogues of capabilities with goals whose shortest plans are known: out of the tool graphs of TaskBench (real tools,
 * microsoft/JARVIS), and made to be hard. The same seed gives the same.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PlannableCapability } from "../../core/planner/capability.ts";
import { type Goal, type GoalInput, goalSchema } from "../../core/planner/goal.ts";

export interface Sample {
  name: string;
  goal: Goal;
  capabilities: PlannableCapability[];
  /** Of the shortest plan; undefined: not known. */
  tasks: number | undefined;
  /** Capabilities that every shortest plan has, where that is known. */
  members?: string[];
}

type Random = () => number;

interface Tool {
  id: string;
  takes: string[];
  gives: string[];
}

/** `SKEIN_TEST_DATA` is for checkouts that stand elsewhere. */
const data = process.env.SKEIN_TEST_DATA ?? fileURLToPath(new URL("../../../shared/data", import.meta.url));
const folder = `${data}/taskbench/`;
const files = new Map(["huggingface", "multimedia"].map((name) => [name, `${folder}${name}-graph.json`]));
export const toolGraphs = [...files.keys()];

/** The data stands beside the repository, not in it. */
export const hasToolGraphs = [...files.values()].every((file) => existsSync(file));
export const toolGraphFolder = folder;

/** `SKEIN_PLAN_GRAPHS`: a folder with graphs of other tools, in the format of TaskBench's, by the names of their files. */
const others = process.env.SKEIN_PLAN_GRAPHS;
export const otherGraphs = others
  ? readdirSync(others)
      .filter((file) => file.endsWith(".json"))
      .map((file) => basename(file, ".json"))
  : [];
for (const name of otherGraphs) files.set(name, join(others!, `${name}.json`));

function toolsOf(graph: string): Tool[] {
  const { nodes } = JSON.parse(readFileSync(files.get(graph)!, "utf8")) as {
    nodes: { id: string; "input-type": string[]; "output-type": string[] }[];
  };
  const lower = (types: string[]) => types.map((type) => type.toLowerCase());
  return nodes.map((node) => ({
    id: node.id.replaceAll(/[^A-Za-z0-9]+/g, "-").replace(/-$/, ""),
    takes: lower(node["input-type"]),
    // Some tools say nothing of what they give, but do give something.
    gives: node["output-type"].length > 0 ? lower(node["output-type"]) : ["answer"],
  }));
}

/**
 * A goal that takes exactly `size` of the tools: what each gives is a type of its own (`summary` rather than `text`), so
 * there is one way only. The other tools are there, too, each wired to some tool whose output it can take; and so are ways
 * round that take a task more, and twins that cost more.
 */
export function refinedSample(graph: string, size: number, random: Random, prefix = ""): Sample | undefined {
  const tools = shuffled(toolsOf(graph), random);
  const nameOf = (tool: Tool) => `${prefix}${tool.id}`;
  const typeOf = (tool: Tool) => `${prefix}${tool.gives[0]!}.of-${tool.id}`;
  const wiring = new Map<Tool, string[]>();
  const have = new Map<string, string>();
  const members: Tool[] = [tools[0]!];
  const held = (type: string) => {
    const name = `given_${type}_${have.size}`;
    have.set(name, `${prefix}${type}.${name}`);
    return have.get(name)!;
  };
  for (let next = 0; next < members.length; next++) {
    const tool = members[next]!;
    wiring.set(
      tool,
      tool.takes.map((type) => {
        const maker = tools.find((other) => other.gives[0] === type && !members.includes(other));
        const isLast = next === members.length - 1 && members.length < size;
        if (members.length >= size || !maker || (!isLast && random() < 0.4)) return held(type);
        members.push(maker);
        return typeOf(maker);
      }),
    );
  }
  if (members.length < size) return undefined;
  for (const tool of tools.filter((one) => !members.includes(one))) {
    wiring.set(
      tool,
      tool.takes.map((type) => {
        const makers = tools.filter((other) => other.gives[0] === type && other !== tool);
        return makers.length > 0 && random() < 0.8
          ? typeOf(pick(makers, random))
          : (have.values().next().value ?? type);
      }),
    );
  }
  const capabilities = [...wiring].map(([tool, takes]) => capabilityOf(nameOf(tool), takes, [typeOf(tool)], random));
  for (const tool of members.filter(() => random() < 0.5)) {
    const [takes, detour] = [wiring.get(tool)!, `${prefix}detour.${tool.id}`];
    capabilities.push(capabilityOf(`${nameOf(tool)}-begin`, takes, [detour], random));
    capabilities.push(capabilityOf(`${nameOf(tool)}-end`, [detour], [typeOf(tool)], random));
    capabilities.push({ ...capabilityOf(`${nameOf(tool)}-twin`, takes, [typeOf(tool)], random), cost: 1_000 });
  }
  const goal = {
    have: Object.fromEntries([...have].map(([name, type]) => [name, { type }])),
    want: { result: typeOf(members[0]!) },
  };
  return sample(`${graph} ${size}`, goal, shuffled(capabilities, random), size, members.map(nameOf));
}

/** The tools as they are, with their coarse types, and some of them that must be used, one after the other. */
export function coarseSample(graph: string, size: number, random: Random, prefix = ""): Sample {
  const tools = shuffled(toolsOf(graph), random);
  const path = [tools[0]!];
  while (path.length < size) {
    const next = tools.find((tool) => !path.includes(tool) && tool.takes.includes(path.at(-1)!.gives[0]!));
    if (!next) break;
    path.push(next);
  }
  const made = new Set<string>();
  const held = new Set<string>();
  for (const tool of path) {
    for (const type of tool.takes) if (!made.has(type)) held.add(type);
    for (const type of tool.gives) made.add(type);
  }
  const typed = (types: readonly string[]) => types.map((type) => prefix + type);
  const names = path.map((tool) => `${prefix}${tool.id}`);
  const goal = {
    have: Object.fromEntries([...held].map((type) => [type, { type: prefix + type }])),
    want: { result: prefix + path.at(-1)!.gives[0]! },
    must_use: names,
  };
  const capabilities = tools.map((tool) =>
    capabilityOf(`${prefix}${tool.id}`, typed(tool.takes), typed(tool.gives), random),
  );
  return sample(`${graph} coarse ${path.length}`, goal, capabilities, path.length, names);
}

/**
 * The tools as they are, and any goal that they can reach: some of the coarse types there are, and of what can be made of
 * them one that none of them is. Undefined: nothing can be made of what was drawn.
 */
export function reachableSample(graph: string, random: Random): Sample | undefined {
  const tools = shuffled(toolsOf(graph), random);
  const taken = shuffled([...new Set(tools.flatMap(({ takes }) => takes))], random);
  const have = taken.slice(0, 1 + Math.floor(random() * 4));
  const made = madeOf(tools, have);
  if (made.length === 0) return undefined;
  const goal = {
    have: Object.fromEntries(have.map((type, at) => [`given_${at}`, { type }])),
    want: { result: pick(made, random) },
  };
  const capabilities = tools.map(({ id, takes, gives }) => capabilityOf(id, takes, gives, random));
  return sample(`${graph} reachable`, goal, capabilities, undefined);
}

/** All types that can be made of some others, without these. */
function madeOf(tools: readonly Tool[], have: readonly string[]): string[] {
  const there = new Set(have);
  for (let before = -1; before !== there.size; ) {
    before = there.size;
    for (const { takes, gives } of tools) {
      if (takes.every((type) => there.has(type))) for (const type of gives) there.add(type);
    }
  }
  return [...there].slice(have.length);
}

/** Rings of types, run both ways, with chords: the goal is `distance` steps away, by the one way that is short. */
export function ringSample(count: number, distance: number, random: Random): Sample {
  const around = Math.floor(count / 3);
  const capabilities: PlannableCapability[] = [];
  for (let at = 0; at < around; at++) {
    capabilities.push(capabilityOf(`on-${at}`, [`ring.${at}`], [`ring.${(at + 1) % around}`], random));
    capabilities.push(capabilityOf(`back-${at}`, [`ring.${(at + 1) % around}`], [`ring.${at}`], random));
    // Leads only to where one has been.
    capabilities.push(capabilityOf(`again-${at}`, [`ring.${at}`, `ring.${(at + 2) % around}`], [`ring.${at}`], random));
  }
  const goal = { have: { start: { type: "ring.0" } }, want: { end: `ring.${distance}` } };
  return sample(`ring of ${count}`, goal, shuffled(capabilities, random), distance);
}

/** Layers of types, each made by very many capabilities that differ in cost, duration and reliability, none the best. */
export function twinSample(count: number, layers: number, random: Random): Sample {
  const capabilities = Array.from({ length: count }, (_, index) => {
    const layer = index % layers;
    return capabilityOf(`twin-${index}`, [`layer.${layer}`], [`layer.${layer + 1}`], random);
  });
  const goal = { have: { start: { type: "layer.0" } }, want: { end: `layer.${layers}` } };
  return sample(`twins ${count}`, goal, capabilities, layers);
}

/** Layers of a few types; each capability takes two of the layer before: plans differ in what they share. */
export function latticeSample(count: number, layers: number, width: number, random: Random): Sample {
  const typeAt = (layer: number) => `l${layer}.${Math.floor(random() * width)}`;
  const capabilities = Array.from({ length: count }, (_, index) => {
    const layer = index % layers;
    return capabilityOf(`lattice-${index}`, [typeAt(layer), typeAt(layer)], [typeAt(layer + 1)], random);
  });
  const have = Object.fromEntries(Array.from({ length: width }, (_, at) => [`v${at}`, { type: `l0.${at}` }]));
  const goal = { have, want: { one: `l${layers}.0`, other: `l${layers}.1` } };
  return sample(`lattice ${count}`, goal, capabilities, undefined);
}

/** No order in it at all: capabilities take one to three types and give one or two. */
export function randomSample(count: number, random: Random): Sample {
  const types = Math.ceil(count / 2);
  const anyType = () => `t${Math.floor(random() * types)}`;
  const several = (most: number) => Array.from({ length: 1 + Math.floor(random() * most) }, anyType);
  const capabilities = Array.from({ length: count }, (_, index) =>
    capabilityOf(`random-${index}`, several(3), several(2), random),
  );
  const have = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`v${at}`, { type: anyType() }]));
  return sample(`random ${count}`, { have, want: { one: anyType(), other: anyType() } }, capabilities, undefined);
}

function sample(
  name: string,
  goal: GoalInput,
  capabilities: PlannableCapability[],
  tasks: number | undefined,
  members?: string[],
): Sample {
  return { name, goal: goalSchema.parse(goal), capabilities, tasks, ...(members && { members }) };
}

function capabilityOf(name: string, takes: string[], gives: string[], random: Random): PlannableCapability {
  const fields = (side: string, types: string[]) =>
    Object.fromEntries([...new Set(types)].map((type, at) => [`${side}_${at}`, type]));
  return {
    name,
    version: "1",
    consumes: fields("in", takes),
    produces: fields("out", gives),
    cost: Math.floor(random() * 100),
    durationMs: Math.floor(random() * 1_000),
    reliability: 0.9 + Math.floor(random() * 100) / 1_000,
  };
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[Math.floor(random() * items.length)]!;
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let at = copy.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [copy[at], copy[other]] = [copy[other]!, copy[at]!];
  }
  return copy;
}
