/** Labels in pictures are written by users and agents: everything shown passes through here. */

/**
 * One line of harmless text: control characters, line breaks, lone surrogates and the invisible characters that reorder
 * or hide text (bidi overrides, zero width) become a visible `�` or a space, so a name cannot pass for another.
 */
export function cleanLabel(text: string): string {
  return text
    .toWellFormed()
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}]/gu, "�")
    .trim();
}

/** A cleaned label of at most `max` characters; the rest is cut off. */
export function cutLabel(text: string, max: number): string {
  // Cleaning all of a long text would be wasted.
  const characters = [...cleanLabel(text.slice(0, 4 * max))];
  return characters.length <= max && text.length <= 4 * max
    ? characters.join("")
    : `${characters.slice(0, max - 1).join("")}…`;
}

/** As `cutLabel`, but what is cut is cut from the middle: names differ at their ends. */
export function shortenName(text: string, max: number): string {
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

/** Letters, digits and what has no meaning in Mermaid stay; anything else becomes `#code;`, Mermaid's own escape. */
export function escapeMermaid(text: string): string {
  // A backslash, even as an entity, makes a line break with an `n` behind it; its look-alike does not.
  return cleanLabel(text)
    .replaceAll("\\", "⧵")
    .replace(/[^\p{L}\p{N} .,…·-]/gu, (character) => `#${character.codePointAt(0)};`);
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
