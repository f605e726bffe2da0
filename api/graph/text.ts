/** Labels in pictures are written by users and agents: everything shown passes through here. */

/**
 * One line of harmless text: control characters, line breaks, lone surrogates and the invisible characters that reorder
 * or hide text (bidi overrides, zero width) become a visible `�` or a space, so a key cannot pass for another.
 */
export function cleanLabel(text: string): string {
  return text
    .toWellFormed()
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}]/gu, "�")
    .trim();
}

/** A cleaned label of at most `max` characters; what is cut is cut from the middle, as keys differ at their ends. */
export function shorten(text: string, max: number): string {
  const characters = [...cleanLabel(text)];
  if (characters.length <= max) return characters.join("");
  const head = Math.ceil((max - 1) / 2);
  return `${characters.slice(0, head).join("")}…${characters.slice(characters.length - (max - 1 - head)).join("")}`;
}

const xmlEntities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe as XML content and as an attribute in double or single quotes. */
export function escapeXml(text: string): string {
  return cleanLabel(text).replace(/[&<>"']/g, (character) => xmlEntities[character] ?? "");
}

/**
 * The width of a text in a sans-serif font, in the unit of `fontSize`, erring on the wide side: we do not know which
 * font the viewer has, so this follows the widest of the usual ones (Verdana, DejaVu Sans).
 */
export function textWidth(text: string, fontSize: number): number {
  let em = 0;
  for (const character of text) {
    if (/[ iljtfrI.,:;'|!()[\]/-]/.test(character)) em += 0.4;
    else if (/[mwMW@%]/.test(character)) em += 0.95;
    else if (/[A-Z]/.test(character)) em += 0.72;
    else em += character > "\u2fff" ? 1.05 : 0.62;
  }
  return em * fontSize;
}

/** `340 ms`, `4.2 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`: two units at most, never negative. */
export function formatDuration(ms: number): string {
  const total = Math.max(0, ms);
  if (total < 999.5) return `${Math.round(total)} ms`;
  if (total < 9_950) return `${Number((total / 1000).toFixed(1))} s`;
  const seconds = Math.round(total / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return twoUnits(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return twoUnits(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return twoUnits(Math.floor(hours / 24), "d", hours % 24, "h");
}

function twoUnits(whole: number, unit: string, rest: number, smaller: string): string {
  return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${smaller}`;
}

/** `10,000`: grouped, the same in every locale. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `10,000 tasks`, `1 task`. */
export function pluralTasks(count: number): string {
  return `${formatCount(count)} ${count === 1 ? "task" : "tasks"}`;
}

/** A cleaned label shortened until it is likely to fit into `width` at `fontSize` (see `textWidth`). */
export function fitText(text: string, width: number, fontSize: number): string {
  const needed = textWidth(text, fontSize);
  return needed <= width ? text : shorten(text, Math.max(3, Math.floor(([...text].length * width) / needed)));
}
