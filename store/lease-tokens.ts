/** The tokens of leases: the agent has the secret, the database a digest of it. */
import { createHash, randomBytes } from "node:crypto";
import { readLeaseToken } from "../core/lease-token.ts";

const TOKEN_BYTES = 16;

/** For all leases of one claim; what `tokenHashOf` is given of it is the digest. */
export function newSecret(): { secret: string; digest: Buffer } {
  const secret = randomBytes(TOKEN_BYTES).toString("base64url");
  return { secret, digest: sha256(secret) };
}

/** What is stored of a lease's token: the digest of its secret's, and of the capability that it names. */
export function tokenHash(token: string): Buffer {
  const { secret, capability } = readLeaseToken(token);
  return sha256(Buffer.concat([sha256(secret), Buffer.from(capability)])).subarray(0, TOKEN_BYTES);
}

/** The same of each claimed row, from the digest of the secret that they share. */
export const tokenHashOf = (secretDigest: string) =>
  `substring(sha256(${secretDigest}::bytea || convert_to(t.capability, 'UTF8')) for ${TOKEN_BYTES})`;

function sha256(data: string | Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}
