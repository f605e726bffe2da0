/**
 * The token of a lease names the capability it is for, so that a report can be judged by its schema without asking the
 * database. What is stored of the token covers the name (`tokenHash` of the store), so it cannot be changed.
 */

/** Secrets are base64url, which has no dot. */
const SEPARATOR = ".";

export function leaseToken(secret: string, capability: string): string {
  return secret + SEPARATOR + capability;
}

/** Of any text: what is no token of ours has the capability "", and proves nothing. */
export function readLeaseToken(token: string): { secret: string; capability: string } {
  const [secret = "", ...rest] = token.split(SEPARATOR);
  return { secret, capability: rest.join(SEPARATOR) };
}
