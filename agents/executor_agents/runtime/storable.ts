/** `value` as text that PostgreSQL can store: no U+0000, no lone surrogates. Throws what its conversion throws. */
export function storable(value: unknown): string {
  const text = typeof value === "string" ? value : String(value);
  return text.includes("\u0000") || !text.isWellFormed() ? text.replaceAll("\u0000", "\uFFFD").toWellFormed() : text;
}
