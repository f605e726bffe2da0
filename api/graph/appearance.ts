/** How a status looks, in every picture: a colour, and a glyph that says the same to who cannot see the colour. */
import type { RunStatus, TaskStatus } from "../../core/run.ts";

export interface Appearance {
  /** Border, icon and bar. At least 3:1 on white; any two differ by ΔE 16 or more under protanopia, deuteranopia and tritanopia. */
  color: string;
  /** Fill behind dark text. */
  tint: string;
  /** One character for formats that are text; none of them is ever drawn as an emoji. */
  glyph: string;
  /** The same sign as a white line drawn in a 16 × 16 disc; `isSolid` fills it. */
  icon: string;
  isSolid?: boolean;
}

export const appearances: Record<TaskStatus, Appearance> = {
  pending: { color: "#7a828c", tint: "#f6f8fa", glyph: "○", icon: "M4.6 8h.01M8 8h.01M11.4 8h.01" },
  ready: { color: "#3d8fd6", tint: "#f0f7fd", glyph: "◇", icon: "M8 4.6 11.4 8 8 11.4 4.6 8Z" },
  running: { color: "#0a4fa3", tint: "#e3eefb", glyph: "▸", icon: "M6.4 5 11 8 6.4 11Z", isSolid: true },
  waiting: { color: "#b87900", tint: "#fdf5e3", glyph: "◔", icon: "M8 4.2V8l2.6 1.8" },
  completed: { color: "#00805c", tint: "#eefaf5", glyph: "✓", icon: "M4.6 8.4 7 10.8 11.4 5.6" },
  failed: { color: "#b3202c", tint: "#fdeced", glyph: "✗", icon: "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" },
  skipped: { color: "#7a828c", tint: "#ffffff", glyph: "↷", icon: "M4.6 5.2 7.4 8l-2.8 2.8M8.6 5.2 11.4 8l-2.8 2.8" },
  cancelled: { color: "#353c45", tint: "#eceef0", glyph: "⊘", icon: "M4.8 8h6.4" },
};

/** A run has no appearance of its own: it borrows that of the task status closest in meaning. */
export function runAppearance(status: RunStatus): Appearance {
  return appearances[status === "paused" ? "waiting" : status];
}

export const ink = { text: "#1f2328", muted: "#59636e", faint: "#c4cbd3", line: "#d7dde3", paper: "#ffffff" } as const;

/** No web font and no quotes: it stands inside attributes of several formats. */
export const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif";
