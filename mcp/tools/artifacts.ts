import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { type ArtifactBody, artifact } from "../../core/protocol/artifacts.ts";
import { pageOf } from "../../core/protocol/common.ts";
import { agentToken, heldLease } from "../acting.ts";
import { cursor, pageLimit, pageText, runId } from "../run-summary.ts";
import { changing, defineTool, readOnly, type ToolContext } from "../tool.ts";

const ofRun = {
  run_id: runId,
  agent_token: agentToken,
  lease: z
    .strictObject(heldLease)
    .exactOptional()
    .describe(
      "Of an agent: the task of this run that it holds. A key of the MCP server that may read or write runs needs none",
    ),
};
const path = z.string().min(1).max(512).describe("Such as `report/summary.md`: relative, with single slashes");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

type Reached = { run_id: string; agent_token?: string; lease?: z.infer<z.ZodObject<typeof heldLease>> };

/** As the caller, or as an agent under its lease. */
function filesOf({ run_id, agent_token, lease }: Reached, { as, agent }: ToolContext) {
  if (lease) return agent(agent_token).artifacts(run_id, lease);
  const { artifacts } = as(agent_token).runs;
  return {
    list: (filter?: Parameters<typeof artifacts.list>[1]) => artifacts.list(run_id, filter),
    read: (at: string) => artifacts.read(run_id, at),
    write: (at: string, content: string | Uint8Array, options?: Parameters<typeof artifacts.write>[3]) =>
      artifacts.write(run_id, at, content, options),
  };
}

export const artifactList = defineTool({
  name: "artifact_list",
  title: "List the files of a run",
  description:
    "The files (artifacts) that tasks of a run have written, by path, with type and size. artifact_read reads one.",
  annotations: readOnly,
  input: z.strictObject({
    ...ofRun,
    prefix: z.string().max(512).exactOptional().describe("Only paths that begin so"),
    limit: pageLimit(100, 1_000),
    cursor,
  }),
  output: pageOf(artifact),
  call: (_client, { run_id, agent_token, lease, ...filter }, context) =>
    filesOf({ run_id, ...(agent_token !== undefined && { agent_token }), ...(lease && { lease }) }, context).list(
      filter,
    ),
  text: ({ data, next_cursor }) => pageText(data.map(fileLine), "The run has no such files.", next_cursor),
});

const content = z.object({
  path: z.string(),
  content_type: z.string(),
  size: z.int(),
  sha256: z.string(),
  text: z.string().optional().describe("What is in it, if that is text"),
  base64: z.string().optional().describe("What is in it, if that is no text"),
});

export const artifactRead = defineTool({
  name: "artifact_read",
  title: "Read a file of a run",
  description:
    "What is in one file (artifact) of a run: as text if it is UTF-8, else in base64. Files of more than some 700 KB are refused with OUTPUT_TOO_LARGE; the REST API has them.",
  annotations: readOnly,
  input: z.strictObject({ ...ofRun, path }),
  output: content,
  async call(_client, { path, ...reached }, context) {
    const { content, contentType, sha256 } = await filesOf(reached, context).read(path);
    const said = isUtf8(content) ? { text: content.toString() } : { base64: content.toString("base64") };
    return { path, content_type: contentType, size: content.length, sha256, ...said };
  },
  text: ({ path, content_type, size, sha256, text, base64 }) =>
    `${path} (${content_type}, ${size} bytes, sha256 ${sha256})\n${text ?? base64}`,
});

export const artifactWrite = defineTool({
  name: "artifact_write",
  title: "Write a file of a run",
  description:
    "Writes a file (artifact) of a run that goes on, from `text` or `base64`. What is there is replaced, unless if_absent or if_sha256 say what has to be there; then it is refused with ARTIFACT_CONFLICT.",
  annotations: { ...changing, idempotentHint: true },
  input: z.strictObject({
    ...ofRun,
    path,
    text: z.string().exactOptional().describe("What is to be in it, if that is text"),
    base64: z.base64().exactOptional().describe("What is to be in it, if that is no text"),
    content_type: z.string().max(255).exactOptional().describe("Default: text/plain, or application/octet-stream"),
    if_absent: z.boolean().exactOptional().describe("Only where nothing is yet"),
    if_sha256: sha256.exactOptional().describe("Only over the content that artifact_read answered with this sha256"),
  }),
  output: z.object(artifact.shape),
  call(_client, { path, text, base64, content_type, if_absent, if_sha256, ...reached }, context) {
    if ((text === undefined) === (base64 === undefined)) {
      throw new SkeinError("REQUEST_INVALID", "Give either `text` or `base64`.");
    }
    return filesOf(reached, context).write(path, text ?? Buffer.from(base64!, "base64"), {
      ...(content_type !== undefined && { contentType: content_type }),
      ...(if_absent !== undefined && { ifAbsent: if_absent }),
      ...(if_sha256 !== undefined && { ifMatch: if_sha256 }),
    });
  },
  text: fileLine,
});

function fileLine({ path, content_type, size, updated_at }: ArtifactBody): string {
  return `${path} (${content_type}, ${size} bytes, written ${updated_at})`;
}
