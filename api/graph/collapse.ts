import { SkeinError } from "../../core/errors.ts";
import type { TaskStatus } from "../../core/run.ts";
import { layersOf, needIndexes } from "./layers.ts";
import { formatCount } from "./text.ts";
import { countStatuses, type GraphNode, type GraphView } from "./view.ts";

/** Above this many nodes a picture is collapsed (contract.md §2). */
const MAX_NODES = 1_000;
/** Above this many nodes, after collapsing, it is refused (contract.md §2). */
const MAX_COLLAPSED_NODES = 5_000;
/** Measured: 2,000 edges among 1,000 nodes take Graphviz 1 s of the 5 s it may take, 3,000 take 2 to 3 s, 5,000 take 5.6 s. */
const MAX_EDGES = 2_000;

/**
 * A view small enough to draw. Above `maxNodes` nodes or 2,000 edges it folds, in the first of these ways that fits:
 * the instances of a map or loop, the tasks of a layer with the same capability, whole layers. Only nodes of one layer
 * are folded together, so the result stays acyclic; whole layers form a chain, the edges it implies are left out. A node
 * that stands for several tasks has `folded` with their counts, the most pressing of their statuses, the first start
 * and, when all have ended, the last end. The counts of the result add up to the tasks of the input. Throws
 * GRAPH_TOO_LARGE when more than 5,000 nodes are left.
 */
export function collapse(view: GraphView, maxNodes = MAX_NODES): GraphView {
  if (view.nodes.length <= maxNodes && sumNeeds(view.nodes) <= MAX_EDGES) return view;
  const needs = needIndexes(view.nodes);
  const layers = layersOf(needs);
  for (const nameOf of [patternOf, (node: GraphNode) => node.capability]) {
    const groups = groupNodes(view.nodes, layers, nameOf);
    if (groups.length > maxNodes) continue;
    const edges = needsOfGroups(groups, needs);
    if (edges.reduce((sum, { length }) => sum + length, 0) <= MAX_EDGES) return fold(view, groups, edges);
  }

  const groups = groupNodes(view.nodes, layers, (_node, layer) => `layer ${layer + 1}`);
  if (groups.length > MAX_COLLAPSED_NODES) {
    throw tooLarge(
      `Run ${view.runId} has ${formatCount(view.nodes.length)} tasks in ${formatCount(groups.length)} layers, ` +
        `and a picture shows at most ${formatCount(MAX_COLLAPSED_NODES)} layers`,
    );
  }
  groups.sort((a, b) => a.layer - b.layer);
  const chain = groups.map((_group, index) => (index === 0 ? [] : [index - 1]));
  return fold(view, groups, chain);
}

/** The refusal to draw, with the way out that every picture shares. */
export function tooLarge(problem: string, cause?: unknown): SkeinError {
  return new SkeinError("GRAPH_TOO_LARGE", `${problem}. Ask for format=json, which has no limit.`, { cause });
}

function sumNeeds(nodes: readonly GraphNode[]): number {
  return nodes.reduce((sum, { needs }) => sum + needs.length, 0);
}

/** `read[7]` and `read[8]` share `read[*]`; tasks spawned by one parent share `plan/*`; others are their own pattern. */
function patternOf({ key, group }: GraphNode): string {
  const starred = (text: string) => text.replace(/\[[^\]]*\]/g, "[*]");
  if (group !== undefined && key.startsWith(`${group}/`)) return `${starred(group)}/*`;
  return starred(key);
}

interface Group {
  name: string;
  layer: number;
  /** Indexes of nodes. */
  members: number[];
}

function groupNodes(nodes: readonly GraphNode[], layers: number[], nameOf: (node: GraphNode, layer: number) => string) {
  const groups = new Map<string, Group>();
  for (const [index, node] of nodes.entries()) {
    const layer = layers[index]!;
    const name = nameOf(node, layer);
    const id = `${layer} ${name}`;
    const group = groups.get(id);
    if (group) group.members.push(index);
    else groups.set(id, { name, layer, members: [index] });
  }
  return [...groups.values()];
}

/** Per group, the indexes of the groups its members need. */
function needsOfGroups(groups: readonly Group[], needs: readonly number[][]): number[][] {
  const groupOf = new Int32Array(needs.length);
  for (const [group, { members }] of groups.entries()) for (const member of members) groupOf[member] = group;
  // A million edges may pass here: a mark per group, unlike a Set, costs no allocation per edge.
  const markedBy = new Int32Array(groups.length).fill(-1);
  return groups.map(({ members }, group) => {
    const needed: number[] = [];
    for (const member of members) {
      for (const need of needs[member]!) {
        const other = groupOf[need]!;
        if (other === group || markedBy[other] === group) continue;
        markedBy[other] = group;
        needed.push(other);
      }
    }
    return needed;
  });
}

/** The view with one node per group; `edges[i]` are the indexes of the groups that group i needs. */
function fold(view: GraphView, groups: readonly Group[], edges: readonly number[][]): GraphView {
  // Ids cannot hold a space, so a folded key meets no other key (an item named to clash misplaces an edge of its own run).
  const keys = groups.map(({ name, layer, members }) =>
    members.length === 1 ? view.nodes[members[0]!]!.key : `${name} in layer ${layer + 1}`,
  );
  const nodes = groups.map(({ name, members }, index) => ({
    ...foldMembers(
      members.map((member) => view.nodes[member]!),
      name,
    ),
    key: keys[index]!,
    needs: edges[index]!.map((need) => keys[need]!),
  }));
  return { ...view, nodes };
}

/** What a reader must see first: the status of a folded node is the first of these that any of its tasks has. */
const mostPressing: TaskStatus[] = [
  "failed",
  "running",
  "waiting",
  "ready",
  "pending",
  "cancelled",
  "completed",
  "skipped",
];

function foldMembers(members: GraphNode[], name: string): GraphNode {
  const first = members[0]!;
  if (members.length === 1) return first;
  const patterns = new Set(members.map(patternOf));
  const counts = countStatuses(members);
  const capabilities = new Set(members.map(({ capability }) => capability));
  const starts = members.flatMap(({ startedAt }) => startedAt ?? []);
  const ends = members.flatMap(({ finishedAt }) => finishedAt ?? []);
  const error = members.find((member) => member.error !== undefined)?.error;
  return {
    key: name,
    capability: capabilities.size === 1 ? first.capability : `${formatCount(capabilities.size)} capabilities`,
    status: mostPressing.find((status) => counts[status]) ?? "pending",
    needs: [],
    attempt: members.reduce((latest, { attempt }) => Math.max(latest, attempt), 0),
    ...(starts.length > 0 && { startedAt: starts.reduce((a, b) => Math.min(a, b)) }),
    ...(ends.length === members.length && { finishedAt: ends.reduce((a, b) => Math.max(a, b)) }),
    ...(error !== undefined && { error }),
    folded: { name: patterns.size === 1 ? patternOf(first) : name, counts },
  };
}
