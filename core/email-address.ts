/** Email addresses as people write them, without the corners of RFC 5322 in which parsers disagree about who is meant. */

export interface EmailAddress {
  /** May be empty. */
  name: string;
  address: string;
  /** Lower case. */
  domain: string;
}

/** Also bounds the time that the patterns below may take. */
const MAX_CHARS = 512;
const MAX_LOCAL_CHARS = 64;
const MAX_DOMAIN_CHARS = 253;

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
/** The last label begins with a letter, so that no number of an address is one. */
const bare = new RegExp(`^(${atom}(?:\\.${atom})*)@((?:${label}\\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)$`);
const named = /^(?:"([^"<>\p{Cc}]*)"|([^"<>\p{Cc}]*?)) *<([^<>]*)>$/u;

/** What to tell someone whose address was refused. */
export const EMAIL_FORMS = 'an address such as jane@example.org or "Jane Doe <jane@example.org>"';

/**
 * `jane@example.org` or `Jane Doe <jane@example.org>`; undefined for anything else. Quoted local parts, comments, groups,
 * address literals and letters beyond ASCII are refused; a domain beyond ASCII is written in its `xn--` form.
 */
export function parseEmailAddress(text: string): EmailAddress | undefined {
  if (text.length > MAX_CHARS) return undefined;
  const [, quoted, plain = "", inner] = named.exec(text) ?? [];
  const address = inner ?? text;
  const [, local = "", domain = ""] = bare.exec(address) ?? [];
  if (local === "" || local.length > MAX_LOCAL_CHARS || domain.length > MAX_DOMAIN_CHARS) return undefined;
  return { name: quoted ?? plain, address, domain: domain.toLowerCase() };
}
