import type { Resource } from "@modelcontextprotocol/server";
import { uuid } from "../../core/protocol/common.ts";
import type { EventBody, RunBody } from "../../core/protocol/runs.ts";
import { recentRuns, runLine } from "../run-summary.ts";
import { jsonLines, type ResourceFamily } from "./family.ts";

const EVENTS_PER_PAGE = 1_000;

export const runResources: ResourceFamily = {
  base: "skein://runs/",
  variable: "run_id",
  isId: (text) => uuid.safeParse(text).success,
  missing: "RUN_NOT_FOUND",
  complete: (client, prefix) => recentRuns(client, prefix),
  parts: [
    {
      path: "",
      name: "run",
      title: "Run",
      description: "A run with its status, inputs and tasks by status, and its outputs or error once it has finished",
      mimeType: "application/json",
      async read(client, id) {
        const [run, { outputs }] = await Promise.all([client.runs.get(id), client.runs.result(id)]);
        return JSON.stringify({ ...run, outputs }, null, 2);
      },
    },
    {
      path: "/graph",
      name: "run-graph",
      title: "Graph of a run",
      description: "The DAG of a run with the live status of each task, as Mermaid",
      mimeType: "text/vnd.mermaid",
      read: (client, id) => client.runs.graph(id, "mermaid"),
    },
    {
      path: "/events",
      name: "run-events",
      title: "Transcript of a run",
      description:
        "Every event of a run in order, as JSON Lines; if it is long, the last line says after which event it goes on",
      mimeType: "application/jsonl",
      read: (client, id) =>
        jsonLines<EventBody>(
          async (last) => {
            const page = { limit: EVENTS_PER_PAGE, ...(last && { cursor: last.id }) };
            return (await client.runs.eventPage(id, page)).data;
          },
          EVENTS_PER_PAGE,
          (event) => event.id,
        ),
    },
  ],
};

export const runResourcePaths: readonly string[] = runResources.parts.map(({ path }) => path);

export function resourcesOfRun(run: RunBody): Resource[] {
  return runResources.parts.map(({ path, name, title, mimeType }) => ({
    uri: `${runResources.base}${run.id}${path}`,
    name: `${name}-${run.id}`,
    title: `${title} ${run.workflow}`,
    description: runLine(run),
    mimeType,
  }));
}
