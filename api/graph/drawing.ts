import { shortenName } from "../../core/label-text.ts";
import { collapse } from "./collapse.ts";
import { joinInstances } from "./instances.ts";
import { layersOf, needIndexes } from "./layers.ts";
import { formatCount, formatDuration, pluralTasks } from "./text.ts";
import { countStatuses, type GraphNode, type GraphView, type StatusCounts, totalOf } from "./view.ts";

/** A view prepared for any format: small enough, edges as pairs of indexes, every label cleaned and of bounded length. */
export interface Drawing {
  view: GraphView;
  nodes: DrawnNode[];
  /** `[from, to]`: `to` needs `from`. */
  edges: [from: number, to: number][];
  layers: number[];
  counts: StatusCounts;
}

export interface DrawnNode {
  node: GraphNode;
  /** The key, cut in the middle to 28 characters. */
  title: string;
  /** Capability (or error), attempt and time taken in one line; of a folded node, how many tasks and how many of each status. */
  details: string[];
  /** Everything, for a tooltip. */
  full: string;
}

const MAX_TITLE = 28;
/** Of a capability or an error code. */
const MAX_NAME = 22;
/** Tooltips may be long, not endless: a key of a megabyte must not make a picture of a gigabyte. */
const MAX_FULL = 300;

/** Throws GRAPH_TOO_LARGE, see `collapse`. */
export function prepareDrawing(view: GraphView): Drawing {
  const counts = countStatuses(view.nodes);
  const shown = collapse({ ...view, nodes: joinInstances(view.nodes) });
  const needs = needIndexes(shown.nodes);
  return {
    view,
    nodes: shown.nodes.map(drawNode),
    edges: needs.flatMap((list, to) => list.map((from): [number, number] => [from, to])),
    layers: layersOf(needs),
    counts,
  };
}

/** What the picture shows in words: `Run 0190… of research-report is running, 12 tasks: 11 completed, 1 running`. */
export function summaryOf({ view, counts }: Drawing): string {
  const total = totalOf(counts);
  if (view.plan) return `Plan ${shortenName(view.runId, 36)}, ${view.plan}, ${pluralTasks(total)}`;
  const statuses = total === 0 ? "" : `: ${statusesText(counts)}`;
  return `Run ${shortenName(view.runId, 36)} of ${shortenName(view.workflow, 60)} is ${view.status}, ${pluralTasks(total)}${statuses}`;
}

function drawNode(node: GraphNode): DrawnNode {
  if (node.folded) {
    const { name, counts } = node.folded;
    const details = [pluralTasks(totalOf(counts)), statusesText(counts)];
    const full = [shortenName(name, MAX_FULL), shortenName(node.capability, MAX_FULL), ...details].join("\n");
    return { node, title: shortenName(name, MAX_TITLE), details, full };
  }
  const { key, capability, status, attempt, startedAt, finishedAt, agent, error, join, supersededIn, cachedFrom } =
    node;
  const replaced = supersededIn === undefined ? undefined : `replaced in round ${supersededIn}`;
  const cached = cachedFrom === undefined ? undefined : "from the cache";
  const facts = [
    ...(attempt > 1 ? [`attempt ${formatCount(attempt)}`] : []),
    ...(startedAt !== undefined && finishedAt !== undefined ? [formatDuration(finishedAt - startedAt)] : []),
  ];
  return {
    node,
    title: shortenName(key, MAX_TITLE),
    details: [
      [shortenName(error ?? capability, MAX_NAME), ...facts].join(" · "),
      ...(join === undefined ? [] : [`starts on ${shortenName(join, MAX_NAME)}`]),
      ...(replaced === undefined ? [] : [replaced]),
      ...(cached === undefined ? [] : [cached]),
    ],
    full: [key, capability, status, error, ...facts, agent, join && `starts on ${join}`, replaced, cached]
      .filter((line) => line !== undefined)
      .map((line) => shortenName(line, MAX_FULL))
      .join("\n"),
  };
}

/** `9,990 completed, 10 running`, the most frequent first. */
function statusesText(counts: StatusCounts): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([status, count]) => `${formatCount(count)} ${status}`)
    .join(", ");
}
