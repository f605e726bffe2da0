/**
 * An object store that speaks the protocol of S3 (Amazon's, MinIO, Ceph, Garage, R2 …): objects called by their hash, under
 * one bucket and prefix, by path. Requests are signed (AWS Signature Version 4) over their content's hash, which the server
 * checks as it arrives; what comes back is checked here.
 */
import { createHash } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { SkeinError } from "../core/errors.ts";
import type { ObjectStore } from "./store.ts";

export interface S3Options {
  /** Of the bucket, with a prefix if any: `https://s3.example.org/bucket/prefix`. */
  url: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Default `us-east-1`, which servers without regions take for theirs. */
  region?: string;
  /** Of one request, with its repetitions; default 30 s. */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Of a request that the server could not answer (429, 5xx); the first after 50 ms, each later one after twice as long. */
const RETRIES = 4;
/** What is written and read to see whether the store can be used. */
const PROBE = Buffer.from("skein");

export function s3Objects({
  url,
  region = "us-east-1",
  timeoutMs = DEFAULT_TIMEOUT_MS,
  ...keys
}: S3Options): ObjectStore {
  const client = new AwsClient({ ...keys, region, service: "s3", retries: RETRIES });
  const { host, pathname } = new URL(url);
  const root = url.replace(/\/+$/, "");

  async function ask(method: "PUT" | "GET" | "DELETE", hash: string, body?: Buffer): Promise<Response> {
    const what = `${method} of ${hash} at ${host}${pathname}`;
    try {
      const response = await client.fetch(`${root}/${hash}`, {
        method,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          "x-amz-content-sha256": body ? hash : EMPTY_HASH,
          ...(body && { "content-type": "application/octet-stream" }),
        },
        ...(body && { body: new Uint8Array(body) }),
      });
      if (response.ok || (method === "DELETE" && response.status === 404)) return response;
      throw unavailable(what, await whyNot(response));
    } catch (error) {
      if (error instanceof SkeinError) throw error;
      const { message, cause } = error as Error & { cause?: Error };
      throw unavailable(
        what,
        `${cause?.message ?? message}. Check SKEIN_BLOBS_URL, and whether the server is up.`,
        error,
      );
    }
  }

  async function get(hash: string): Promise<Buffer> {
    const content = Buffer.from(await (await ask("GET", hash)).arrayBuffer());
    if (createHash("sha256").update(content).digest("hex") === hash) return content;
    throw unavailable(
      `GET of ${hash} at ${host}${pathname}`,
      "the content has another hash: the object was changed or damaged.",
    );
  }

  async function put(hash: string, content: Buffer): Promise<void> {
    await (await ask("PUT", hash, content)).arrayBuffer();
  }

  return {
    put,
    get,
    delete: async (hash) => {
      await (await ask("DELETE", hash)).arrayBuffer();
    },
    check: async () => {
      const hash = createHash("sha256").update(PROBE).digest("hex");
      await put(hash, PROBE);
      await get(hash);
    },
  };
}

const EMPTY_HASH = createHash("sha256").digest("hex");

const remedies: Record<number, string> = {
  400: "Check SKEIN_BLOBS_REGION, and that SKEIN_BLOBS_URL is of the bucket, by path.",
  403: "Check SKEIN_BLOBS_KEY_ID, SKEIN_BLOBS_SECRET and SKEIN_BLOBS_REGION, and that the key may read, write and delete objects of the bucket.",
  404: "Check that the bucket in SKEIN_BLOBS_URL exists, and that nobody else deletes objects in it.",
};

async function whyNot(response: Response): Promise<string> {
  const [, code = ""] = /<Code>(\w{1,64})<\/Code>/.exec(await response.text()) ?? [];
  return `the server answered ${response.status}${code && ` ${code}`}. ${remedies[response.status] ?? "Look into the log of that server."}`;
}

function unavailable(what: string, why: string, cause?: unknown): SkeinError {
  return new SkeinError("BLOB_STORE_UNAVAILABLE", `${what}: ${why}`, { cause });
}
