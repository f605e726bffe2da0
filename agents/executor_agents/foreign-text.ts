/** What another program said, for a message of ours. */

const DEFAULT_MAX_CHARS = 300;
/** A shorter one would be found in innocent words. */
const MIN_SECRET_CHARS = 6;

/** On one line, shortened, and with `secrets` blotted out, since some servers repeat the key they refuse. */
export function excerpt(text: string, secrets: readonly string[] = [], maxChars = DEFAULT_MAX_CHARS): string {
  let shown = text;
  for (const secret of secrets) if (secret.length >= MIN_SECRET_CHARS) shown = shown.replaceAll(secret, "***");
  shown = shown.replace(/\p{Cc}+/gu, " ").trim();
  return shown.length <= maxChars ? shown : `${shown.slice(0, maxChars - 1).toWellFormed()}…`;
}
