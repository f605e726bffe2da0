import type { Drawing } from "./drawing.ts";
import { Layouter } from "./layouter.ts";
import { wrapColumns } from "./wrap.ts";

export interface Point {
  x: number;
  y: number;
}

/** Where things stand, in pixels from the top left corner of the graph: the centre of each node, the curve of each edge. */
export interface Placement {
  width: number;
  height: number;
  centers: Point[];
  curves: Curve[];
}

/** An edge between two nodes, by index: its start, and then three points for each cubic Bézier segment. */
export interface Curve {
  from: number;
  to: number;
  points: Point[];
}

export interface CardSize {
  width: number;
  height: number;
}

type Direction = "LR" | "TB";

/** Space between layers (room for an arrow) and between the nodes of one. */
const LAYER_GAP = 52;
const NODE_GAP = 16;
/** A graph that is no wider than this reads best from left to right. */
const COMFORTABLE_WIDTH = 1_200;
/** With more nodes in a layer, the edges between wrapped rows would be a tangle. */
const MAX_STRIP_BREADTH = 3;
const BEST_ASPECT = 1.6;
/** Graphviz measures in inches of 72 points; one of our pixels is one point. */
const POINTS_PER_INCH = 72;
/** From here on we ask Graphviz for a fast layout over the very best one: 917 → 169 ms for 500 nodes, 1,500 edges. */
const FAST_EDGES = 200;

const typicalCard: CardSize = { width: 170, height: 46 };
const layouter = new Layouter();

/** Left to right while that fits a page; beyond, whichever direction is closer to the proportions of a screen. */
export function chooseDirection(layers: readonly number[], card = typicalCard): Direction {
  const { depth, breadth, lengthwise } = shapeOf(layers, card);
  if (lengthwise <= COMFORTABLE_WIDTH) return "LR";
  const distance = (width: number, height: number) => Math.abs(Math.log(width / height / BEST_ASPECT));
  const leftToRight = distance(lengthwise, breadth * (card.height + NODE_GAP));
  const topToBottom = distance(breadth * (card.width + NODE_GAP), depth * (card.height + LAYER_GAP));
  return leftToRight <= topToBottom ? "LR" : "TB";
}

/**
 * Lays the drawing out; `cards` are the sizes of its nodes. A long and narrow graph (thirty steps in a row) is a strip
 * in either direction, so it is laid out left to right and then wrapped like text. Throws as `Layouter.layout` does.
 */
export async function place(drawing: Drawing, cards: CardSize[], signal?: AbortSignal): Promise<Placement> {
  const [card] = cards;
  if (!card) return { width: 0, height: 0, centers: [], curves: [] };
  const { breadth, lengthwise } = shapeOf(drawing.layers, card);
  const isStrip = breadth <= MAX_STRIP_BREADTH && lengthwise > COMFORTABLE_WIDTH;
  const direction = isStrip ? "LR" : chooseDirection(drawing.layers, card);
  const plain = await layouter.layout(skeletonOf(drawing, cards, direction), signal);
  const placement = smoothShortEdges(readPlain(plain, cards.length), cards, direction);
  return isStrip ? wrapColumns(placement, cards, COMFORTABLE_WIDTH, BEST_ASPECT) : placement;
}

function shapeOf(layers: readonly number[], card: CardSize): { depth: number; breadth: number; lengthwise: number } {
  const perLayer = new Map<number, number>();
  for (const layer of layers) perLayer.set(layer, (perLayer.get(layer) ?? 0) + 1);
  const breadth = [...perLayer.values()].reduce((a, b) => Math.max(a, b), 0);
  return { depth: perLayer.size, breadth, lengthwise: perLayer.size * (card.width + LAYER_GAP) };
}

/** The graph as Graphviz needs it: names we chose and sizes, none of the users' text. */
function skeletonOf({ edges }: Drawing, cards: CardSize[], direction: Direction): string {
  const inches = (points: number) => (points / POINTS_PER_INCH).toFixed(3);
  const fast = edges.length > FAST_EDGES ? " nslimit=1 nslimit1=1 mclimit=0.1" : "";
  return [
    `digraph { graph [rankdir=${direction} ranksep=${inches(LAYER_GAP)} nodesep=${inches(NODE_GAP)}${fast}]`,
    'node [shape=box fixedsize=true label=""]',
    `edge [arrowhead=none${direction === "LR" ? " tailport=e headport=w" : ""}]`,
    ...cards.map(({ width, height }, index) => `n${index} [width=${inches(width)} height=${inches(height)}]`),
    ...edges.map(([from, to]) => `n${from} -> n${to}`),
    "}",
  ].join("\n");
}

/**
 * Graphviz's `plain` format: `graph scale w h`, `node name x y …`, `edge tail head n x1 y1 … xn yn …`, in inches from the
 * bottom left corner. Its edges are not in the order we gave.
 */
function readPlain(plain: string, nodeCount: number): Placement {
  const centers: Point[] = Array.from({ length: nodeCount }, () => ({ x: 0, y: 0 }));
  const placement: Placement = { width: 0, height: 0, centers, curves: [] };
  for (const line of plain.split("\n")) {
    const [kind, ...fields] = line.split(" ");
    const pixels = (field: number) => Number(fields[field]) * POINTS_PER_INCH;
    if (kind === "graph") Object.assign(placement, { width: pixels(1), height: pixels(2) });
    if (kind === "node") centers[indexOfName(fields[0])] = { x: pixels(1), y: placement.height - pixels(2) };
    if (kind !== "edge") continue;
    const points = Array.from({ length: Number(fields[2]) }, (_, point) => ({
      x: pixels(3 + 2 * point),
      y: placement.height - pixels(4 + 2 * point),
    }));
    placement.curves.push({ from: indexOfName(fields[0]), to: indexOfName(fields[1]), points });
  }
  return placement;
}

function indexOfName(name = ""): number {
  return Number(name.slice(1));
}

/**
 * Replaces the curve of every edge between neighbouring layers by a plain S from side to side. Nothing stands between
 * them to be avoided, and Graphviz, which also avoids its own other curves, makes loops of a fan-out in a narrow gap.
 */
function smoothShortEdges(placement: Placement, cards: CardSize[], direction: Direction): Placement {
  const { centers } = placement;
  const isAcross = direction === "LR";
  const along = (node: number) => (isAcross ? centers[node]!.x : centers[node]!.y);
  const stops = [...new Set(centers.map((_, node) => along(node)))].sort((a, b) => a - b);
  const rankOf = new Map(stops.map((stop, rank) => [stop, rank]));
  const curves = placement.curves.map((curve) => {
    const { from, to } = curve;
    if (rankOf.get(along(to))! - rankOf.get(along(from))! !== 1) return curve;
    const [a, b] = [centers[from]!, centers[to]!];
    return isAcross
      ? { from, to, points: sCurve(a.x + cards[from]!.width / 2, a.y, b.x - cards[to]!.width / 2, b.y) }
      : {
          from,
          to,
          points: sCurve(a.y + cards[from]!.height / 2, a.x, b.y - cards[to]!.height / 2, b.x).map(swap),
        };
  });
  return { ...placement, curves };
}

/** The end of an S runs straight for the length of an arrow head, so that the head stands square on the card. */
const HEAD_LENGTH = 8;

function sCurve(x1: number, y1: number, x2: number, y2: number): Point[] {
  const neck = { x: x2 - HEAD_LENGTH, y: y2 };
  const middle = (x1 + neck.x) / 2;
  const end = { x: x2, y: y2 };
  return [{ x: x1, y: y1 }, { x: middle, y: y1 }, { x: middle, y: y2 }, neck, neck, end, end];
}

function swap({ x, y }: Point): Point {
  return { x: y, y: x };
}
