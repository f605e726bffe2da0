import type { CardSize, Curve, Placement, Point } from "./placement.ts";

/** Between two rows: room for the edges that lead from one to the next. */
const ROW_GAP = 36;
const CORNER_RADIUS = 8;
/** How far beside a card, in the gap between columns, an edge turns. */
const TURN = 16;

/**
 * Breaks a left-to-right layout into rows, like text: at most `width` wide, wider only where a picture of the
 * proportions `aspect` asks for it. All `cards` are equally wide. Edges inside a row keep their curve; those that change
 * rows run through the gaps between columns and rows, so they never cross a card.
 */
export function wrapColumns(placement: Placement, cards: CardSize[], width: number, aspect: number): Placement {
  const cardWidth = cards[0]!.width;
  const columns = [...new Set(placement.centers.map(({ x }) => x))].sort((a, b) => a - b);
  const pitch = columns.length > 1 ? columns[1]! - columns[0]! : placement.width;
  const perRow = columnsPerRow(columns.length, pitch, placement.height + ROW_GAP, width, aspect);
  const columnOf = new Map(columns.map((x, column) => [x, column]));
  const rowOf = placement.centers.map(({ x }) => Math.floor(columnOf.get(x)! / perRow));
  const rows = stackRows(placement, rowOf, cards);
  const move = (point: Point, row: number): Point => ({
    x: point.x - (columns[row * perRow]! - columns[0]!) + TURN,
    y: point.y - rows[row]!.top + rows[row]!.y,
  });

  const centers = placement.centers.map((center, node) => move(center, rowOf[node]!));
  const right = perRow * pitch - (pitch - cardWidth) + 2 * TURN;
  const curves = placement.curves.map(({ from, to, points }): Curve => {
    const [fromRow, toRow] = [rowOf[from]!, rowOf[to]!];
    if (fromRow === toRow) return { from, to, points: points.map((point) => move(point, fromRow)) };
    const start = { x: centers[from]!.x + cardWidth / 2, y: centers[from]!.y };
    const end = { x: centers[to]!.x - cardWidth / 2, y: centers[to]!.y };
    const below = rows[fromRow + 1]!.y - ROW_GAP / 2;
    const above = rows[toRow]!.y - ROW_GAP / 2;
    // Rows that lie between the two are passed on the right of everything.
    const detour = toRow === fromRow + 1 ? [] : [below, above].map((y) => ({ x: right + TURN / 2, y }));
    const corners = [
      { x: start.x + TURN, y: start.y },
      { x: start.x + TURN, y: below },
      ...detour,
      { x: end.x - TURN, y: above },
      { x: end.x - TURN, y: end.y },
    ];
    return { from, to, points: roundCorners([start, ...corners, end]) };
  });
  return { width: right, height: rows.at(-1)!.y + rows.at(-1)!.height, centers, curves };
}

/** As many as fit the width, or as make the picture `aspect` times as wide as high; then evened out over the rows. */
function columnsPerRow(columns: number, pitch: number, rowHeight: number, width: number, aspect: number): number {
  const squarish = Math.sqrt((columns * rowHeight * aspect) / pitch);
  const atMost = Math.max(1, Math.floor(width / pitch), Math.ceil(squarish));
  return Math.ceil(columns / Math.ceil(columns / atMost));
}

/** For each row the part of the original height that it uses, from `top` on, and the `y` at which it goes. */
function stackRows(
  { centers, curves, height }: Placement,
  rowOf: number[],
  cards: CardSize[],
): { top: number; height: number; y: number }[] {
  const rows = Array.from({ length: rowOf.reduce((a, b) => Math.max(a, b), 0) + 1 }, () => ({
    top: height,
    bottom: 0,
  }));
  const include = (row: number, y: number) => {
    const band = rows[row]!;
    band.top = Math.min(band.top, y);
    band.bottom = Math.max(band.bottom, y);
  };
  for (const [node, { y }] of centers.entries()) {
    include(rowOf[node]!, y - cards[node]!.height / 2);
    include(rowOf[node]!, y + cards[node]!.height / 2);
  }
  for (const { from, to, points } of curves) {
    if (rowOf[from] === rowOf[to]) for (const { y } of points) include(rowOf[from]!, y);
  }
  let y = 0;
  return rows.map(({ top, bottom }) => {
    const row = { top, height: bottom - top, y };
    y += row.height + ROW_GAP;
    return row;
  });
}

/** A polyline as cubic Béziers, its corners rounded: straight to each corner's near side, around it, and on. */
function roundCorners(line: Point[]): Point[] {
  const points = [line[0]!];
  for (let i = 1; i < line.length - 1; i++) {
    const corner = line[i]!;
    const before = towards(corner, line[i - 1]!);
    const after = towards(corner, line[i + 1]!);
    points.push(points.at(-1)!, before, before, corner, corner, after);
  }
  const end = line.at(-1)!;
  points.push(points.at(-1)!, end, end);
  return points;
}

/** The point `CORNER_RADIUS` away from `from` on the way to `to`, or half-way where that is nearer. */
function towards(from: Point, to: Point): Point {
  const distance = Math.hypot(to.x - from.x, to.y - from.y);
  const share = distance === 0 ? 0 : Math.min(CORNER_RADIUS / distance, 0.5);
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
