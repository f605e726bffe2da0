/** The SVG parts that the graph and the timeline share. Presentation attributes only: a strict CSP forbids `<style>`. */

import { escapeXml, textWidth } from "../../core/label-text.ts";
import { isTerminalRun, type RunStatus, type TaskStatus, taskStatuses } from "../../core/run.ts";
import { appearances, FONT, ink, runAppearance } from "./appearance.ts";
import { formatCount } from "./text.ts";
import type { StatusCounts } from "./view.ts";

export const MARGIN = 24;
/** From the top edge to where the picture's own content begins, below `header`. */
export const HEADER_HEIGHT = 78;
export const LEGEND_HEIGHT = 40;

/** A complete SVG document on light paper of its own, so that it reads the same on a dark page. `summary` is for screen readers. */
export function svgDocument(width: number, height: number, summary: string, body: string[]): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img" font-family="${FONT}" font-size="12" fill="${ink.text}">`,
    `<title>${escapeXml(summary)}</title>`,
    `<rect x="0.5" y="0.5" width="${w - 1}" height="${h - 1}" rx="10" fill="${ink.paper}" stroke="${ink.line}"/>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

export interface TextLook {
  size?: number;
  bold?: boolean;
  fill?: string;
  anchor?: "start" | "middle" | "end";
}

/** One line of text with its baseline at y. */
export function textAt(x: number, y: number, content: string, look: TextLook = {}): string {
  const { size = 12, bold = false, fill = ink.text, anchor = "start" } = look;
  const extras = `${bold ? ' font-weight="600"' : ""}${anchor === "start" ? "" : ` text-anchor="${anchor}"`}`;
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${fill}"${extras}>${escapeXml(content)}</text>`;
}

/** The 16-pixel disc of a status, its top left corner at x, y. */
export function statusIcon(status: TaskStatus, x: number, y: number): string {
  return icon(appearances[status], x, y);
}

function icon({ color, icon: path, isSolid }: (typeof appearances)[TaskStatus], x: number, y: number): string {
  return (
    `<g transform="translate(${round(x)} ${round(y)})"><circle cx="8" cy="8" r="8" fill="${color}"/>` +
    `<path d="${path}" fill="${isSolid ? ink.paper : "none"}" stroke="${ink.paper}" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/></g>`
  );
}

/** The workflow's name and a line of facts about the run, top left; `said` is what the line begins with, of a plan. */
export function header(
  workflow: string,
  status: RunStatus,
  facts: string,
  said = `${status}${isTerminalRun(status) ? "" : "…"}`,
): string[] {
  return [
    icon(runAppearance(status), MARGIN, MARGIN - 1),
    textAt(MARGIN + 24, MARGIN + 13, workflow, { size: 16, bold: true }),
    textAt(MARGIN, MARGIN + 35, `${said} · ${facts}`, { fill: ink.muted }),
  ];
}

/** How wide a picture must be for its header. */
export function headerWidth(workflow: string, facts: string): number {
  return Math.max(textWidth(workflow, 17) + 24, textWidth(`completed · ${facts}`, 12)) + 2 * MARGIN;
}

/** Icon, name and count of every status that occurs, in one line with its centre at y. */
export function legend(counts: StatusCounts, y: number): { parts: string[]; width: number } {
  let x = MARGIN;
  const parts: string[] = [];
  for (const status of taskStatuses) {
    const count = counts[status];
    if (!count) continue;
    const label = `${formatCount(count)} ${status}`;
    parts.push(statusIcon(status, x, y - 8), textAt(x + 22, y + 4, label, { fill: ink.muted }));
    x += 22 + textWidth(label, 12) + 16;
  }
  return { parts, width: x + MARGIN - 16 };
}

/** A tenth of a pixel is finer than anyone sees and keeps documents small. */
export function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
