/**
 * A server of the S3 protocol for tests, as far as `s3.ts` speaks it: path-style objects in one bucket, kept in memory. It
 * refuses what a real one refuses: a signature (AWS Signature Version 4) that is not of this very request, by this secret, of
 * these minutes; a body that is not what was signed; a bucket or an object that is not there.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { listenLocally } from "../../test/local-server.ts";

export interface S3Server {
  url: string;
  objects: Map<string, Buffer>;
  /** Requests that were answered, such as `PUT <key> 200`. */
  log: string[];
  close(): Promise<void>;
}

export interface Account {
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
}

export async function startS3Server(bucket: string, account: Account): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  const log: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "", url = "", headers } = request;
    const refusal = refusalOf({ method, url, headers, body: Buffer.concat(chunks) }, account, Date.now());
    const [, found, key = ""] = /^\/([^/]+)\/(.+)$/.exec(new URL(url, "http://s3").pathname) ?? [];
    const missing = found === bucket ? undefined : "NoSuchBucket";
    answer(response, method, key, refusal ?? missing, Buffer.concat(chunks));
    log.push(`${method} ${key} ${response.statusCode}`);
  });

  function answer(response: ServerResponse, method: string, key: string, code: string | undefined, body: Buffer) {
    if (code) return refuse(response, code);
    if (method === "PUT") objects.set(key, body);
    if (method === "DELETE") objects.delete(key);
    if (method !== "GET") return response.writeHead(method === "PUT" ? 200 : 204).end();
    const content = objects.get(key);
    if (!content) return refuse(response, "NoSuchKey");
    return response.writeHead(200, { "content-length": content.length }).end(content);
  }

  const { url, close } = await listenLocally(server);
  return { url: `${url}/${bucket}`, objects, log, close };
}

const statuses: Record<string, number> = { NoSuchBucket: 404, NoSuchKey: 404, XAmzContentSHA256Mismatch: 400 };

function refuse(response: ServerResponse, code: string): ServerResponse {
  response.writeHead(statuses[code] ?? 403, { "content-type": "application/xml" });
  return response.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}

export interface SignedRequest {
  method: string;
  /** Path and query, as sent. */
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A signature is good for so long. */
const MAX_SKEW_MS = 15 * 60_000;

/** The code that S3 refuses the request with; undefined: it is signed as it has to be. */
export function refusalOf(request: SignedRequest, account: Account, nowMs: number): string | undefined {
  const {
    authorization = "",
    "x-amz-date": date = "",
    "x-amz-content-sha256": hash = "",
  } = request.headers as Record<string, string>;
  const [, accessKeyId, scope, signed, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\S+?), ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  if (accessKeyId === undefined) return "AccessDenied";
  if (accessKeyId !== account.accessKeyId) return "InvalidAccessKeyId";
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)!;
  if (Math.abs(nowMs - Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)) > MAX_SKEW_MS) return "RequestTimeTooSkewed";
  const expected = signatureOf(request, account, { date, scope: scope!, signed: signed!.split(";"), hash });
  if (!timingSafeEqual(Buffer.from(signature!, "hex"), expected)) return "SignatureDoesNotMatch";
  if (hash !== "UNSIGNED-PAYLOAD" && sha256(request.body) !== hash) return "XAmzContentSHA256Mismatch";
  return undefined;
}

/** As the documentation has it: a canonical request, hashed into a text to sign, signed with a key derived step by step. */
function signatureOf(
  { method, url, headers }: SignedRequest,
  { secretAccessKey, region }: Account,
  { date, scope, signed, hash }: { date: string; scope: string; signed: string[]; hash: string },
): Buffer {
  const { pathname, searchParams } = new URL(url, "http://s3");
  const query = [...searchParams].map((pair) => pair.map(encodeURIComponent).join("=")).sort();
  const lines = signed.map(
    (name) =>
      `${name}:${String(headers[name] ?? "")
        .trim()
        .replace(/ +/g, " ")}\n`,
  );
  const canonical = [method, pathname, query.join("&"), lines.join(""), signed.join(";"), hash].join("\n");
  const day = date.slice(0, 8);
  if (scope !== `${day}/${region}/s3/aws4_request`) return Buffer.alloc(32);
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const key = [day, region, "s3", "aws4_request"].reduce<Buffer | string>(hmac, `AWS4${secretAccessKey}`);
  return hmac(key, text);
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(content: Buffer | string): string {
  return createHash("sha256").update(content).digest("hex");
}
