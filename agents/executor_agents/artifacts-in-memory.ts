/** The files of a run without a server, for tests of handlers: what core decides, over a Map. */
import { createHash } from "node:crypto";
import { type ArtifactCondition, artifactPathFlaw, decideArtifact } from "../../core/artifact.ts";
import { type ErrorCode, SkeinError } from "../../core/errors.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { ArtifactBody } from "../../core/protocol/artifacts.ts";
import { defaultContentType } from "../../sdk/artifacts.ts";
import type { ArtifactFilter, WriteArtifactOptions } from "../../sdk/client.ts";
import type { RunArtifacts } from "../../sdk/executor.ts";
import { requestFailure } from "./runtime/ask-server.ts";

export interface StoredFile {
  content: Buffer;
  contentType: string;
}

/** As it is stored when nothing is said of its type. */
export function storedFile(content: string | Uint8Array): StoredFile {
  return { content: Buffer.from(content as string), contentType: defaultContentType(content) };
}

const DEFAULT_PAGE = 100;

/** `files` is what is there, and what is written. The writer is the attempt of that task. */
export function artifactsIn(files: Map<string, StoredFile>, writer: { taskId: string; attempt: number }): RunArtifacts {
  /** Others were written by somebody else. */
  const own = new Set<string>();

  function bodyOf(path: string): ArtifactBody {
    const { content, contentType } = files.get(path)!;
    const at = new Date().toISOString();
    return {
      path,
      content_type: contentType,
      size: content.length,
      sha256: sha256(content),
      task_id: own.has(path) ? writer.taskId : null,
      attempt: own.has(path) ? writer.attempt : null,
      created_at: at,
      updated_at: at,
    };
  }

  function write(path: string, given: string | Uint8Array, options: WriteArtifactOptions = {}): ArtifactBody {
    requirePath(path);
    const plain = storedFile(given);
    const { content } = plain;
    const { contentType = plain.contentType } = options;
    const there = files.get(path);
    const others = [...files].filter(([other]) => other !== path);
    const verdict = decideArtifact(
      {
        existing: there && {
          sha256: sha256(there.content),
          contentType: there.contentType,
          writer: own.has(path) ? writer : null,
        },
        others: { count: others.length, bytes: others.reduce((sum, [, file]) => sum + file.content.length, 0) },
        wanted: { sha256: sha256(content), contentType, bytes: content.length, writer },
        condition: conditionOf(options),
      },
      defaultLimits,
    );
    if (verdict === "conflict") throw refusal("ARTIFACT_CONFLICT", `The artifact "${path}" is not as expected.`);
    if (typeof verdict === "object") throw refusal("ARTIFACT_LIMIT_EXCEEDED", verdict.limit);
    if (verdict === "write") {
      files.set(path, { content, contentType });
      own.add(path);
    }
    return bodyOf(path);
  }

  function list({ prefix = "", limit = DEFAULT_PAGE, cursor = "" }: ArtifactFilter = {}) {
    const paths = [...files.keys()].filter((path) => path.startsWith(prefix) && path > cursor).sort();
    const data = paths.slice(0, limit);
    return { data: data.map(bodyOf), next_cursor: paths.length > limit ? data.at(-1)! : null };
  }

  return {
    async read(path) {
      requirePath(path);
      const file = files.get(path);
      if (!file) throw refusal("ARTIFACT_NOT_FOUND", `The run has no artifact "${path}".`);
      return { ...file, sha256: sha256(file.content) };
    },
    write: async (path, content, options) => write(path, content, options),
    list: async (filter) => list(filter),
  };
}

function requirePath(path: string): void {
  const flaw = artifactPathFlaw(path);
  if (flaw) throw refusal("REQUEST_INVALID", `The path ${JSON.stringify(path)} ${flaw}.`);
}

function refusal(code: ErrorCode, message: string) {
  return requestFailure(new SkeinError(code, message));
}

function conditionOf({ ifAbsent, ifMatch }: WriteArtifactOptions): ArtifactCondition | undefined {
  if (ifAbsent) return { absent: true };
  return ifMatch === undefined ? undefined : { sha256: ifMatch };
}

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
