/** Runs as resources: what a client can attach to a conversation, or read without a tool. */
import {
  type ListResourcesResult,
  type McpServer,
  type Resource,
  ResourceNotFoundError,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { SkeinError } from "../core/errors.ts";
import { uuid } from "../core/protocol/common.ts";
import type { EventBody, RunBody } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";
import { protocolError } from "./protocol-error.ts";
import { recentRuns, runLine } from "./run-summary.ts";

interface RunResource {
  /** After `skein://runs/{run_id}`. */
  path: string;
  name: string;
  title: string;
  description: string;
  mimeType: string;
  read(client: Client, runId: string): Promise<string>;
}

const runResources: RunResource[] = [
  {
    path: "",
    name: "run",
    title: "Run",
    description: "A run with its status, inputs and tasks by status, and its outputs or error once it has finished",
    mimeType: "application/json",
    async read(client, runId) {
      const [run, { outputs }] = await Promise.all([client.runs.get(runId), client.runs.result(runId)]);
      return JSON.stringify({ ...run, outputs }, null, 2);
    },
  },
  {
    path: "/graph",
    name: "run-graph",
    title: "Graph of a run",
    description: "The DAG of a run with the live status of each task, as Mermaid",
    mimeType: "text/vnd.mermaid",
    read: (client, runId) => client.runs.graph(runId, "mermaid"),
  },
  {
    path: "/events",
    name: "run-events",
    title: "Transcript of a run",
    description:
      "Every event of a run in order, as JSON Lines; if it is long, the last line says after which event it goes on",
    mimeType: "application/jsonl",
    read: transcriptOf,
  },
];

export const runResourcePaths: readonly string[] = runResources.map(({ path }) => path);

const RUNS_PER_PAGE = 20;

/** `listed` are the resources that somebody else has registered. */
export function offerResources(server: McpServer, client: Client, listed: readonly Resource[]): void {
  const complete = { run_id: (value: string) => recentRuns(client, value) };
  for (const { path, name, title, description, mimeType, read } of runResources) {
    server.registerResource(
      name,
      // Listing is done below: the SDK knows no pages.
      new ResourceTemplate(`skein://runs/{run_id}${path}`, { list: undefined, complete }),
      { title, description, mimeType },
      async (uri, { run_id }) => {
        const text = await readable(uri.href, String(run_id), (runId) => read(client, runId));
        return { contents: [{ uri: uri.href, mimeType, text }] };
      },
    );
  }
  server.server.setRequestHandler("resources/list", async ({ params }): Promise<ListResourcesResult> => {
    const cursor = params?.cursor;
    const page = await client.runs
      .list({ limit: RUNS_PER_PAGE, ...(cursor !== undefined && { cursor }) })
      .catch((error) => {
        throw protocolError(error);
      });
    return {
      resources: [...(cursor === undefined ? listed : []), ...page.data.flatMap(resourcesOf)],
      ...(page.next_cursor !== null && { nextCursor: page.next_cursor }),
    };
  });
}

function resourcesOf(run: RunBody): Resource[] {
  return runResources.map(({ path, name, title, mimeType }) => ({
    uri: `skein://runs/${run.id}${path}`,
    name: `${name}-${run.id}`,
    title: `${title} ${run.workflow}`,
    description: runLine(run),
    mimeType,
  }));
}

async function readable(uri: string, runId: string, read: (runId: string) => Promise<string>): Promise<string> {
  if (!uuid.safeParse(runId).success) throw new ResourceNotFoundError(uri);
  try {
    return await read(runId);
  } catch (error) {
    if (error instanceof SkeinError && error.code === "RUN_NOT_FOUND") throw new ResourceNotFoundError(uri);
    throw protocolError(error);
  }
}

/** Characters; what is longer no model reads. */
const MAX_TRANSCRIPT = 1_000_000;
const EVENTS_PER_PAGE = 1_000;

async function transcriptOf(client: Client, runId: string): Promise<string> {
  const lines: string[] = [];
  let length = 0;
  let last: EventBody | undefined;
  for (;;) {
    const { data } = await client.runs.eventPage(runId, { limit: EVENTS_PER_PAGE, ...(last && { cursor: last.id }) });
    for (const event of data) {
      const line = JSON.stringify(event);
      length += line.length + 1;
      if (length > MAX_TRANSCRIPT) return [...lines, JSON.stringify({ type: "truncated", after: last?.id })].join("\n");
      lines.push(line);
      last = event;
    }
    if (data.length < EVENTS_PER_PAGE) return lines.join("\n");
  }
}
