import { graphFormats, timelineFormats } from "../../../core/protocol/runs.ts";
import { equal, includes } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const pictures: Scenario = {
  name: "pictures",
  title: "A run is drawn as a graph and as a timeline, in every format",
  async play({ client, submit, watch, step }) {
    step("run two tasks");
    const tasks = [
      { id: "first", capability: "core.echo" },
      { id: "second", needs: ["first"], capability: "core.echo" },
    ];
    const run = await submit({ definition: { name: "pictures", tasks } });
    await watch(run.id);

    for (const format of graphFormats) {
      step(`draw the graph as ${format}`);
      const picture = await client.runs.graph(run.id, format);
      for (const part of [graphMarks[format], "first", "second"]) includes(`the graph as ${format}`, picture, part);
    }
    const { nodes } = JSON.parse(await client.runs.graph(run.id, "json")) as {
      nodes: { key: string; status: string }[];
    };
    equal(
      "the nodes of the graph",
      nodes.map(({ key, status }) => [key, status]),
      [
        ["first", "completed"],
        ["second", "completed"],
      ],
    );

    for (const format of timelineFormats) {
      step(`draw the timeline as ${format}`);
      const picture = await client.runs.timeline(run.id, format);
      for (const part of [timelineMarks[format], "first", "second"])
        includes(`the timeline as ${format}`, picture, part);
    }
  },
};

const graphMarks = {
  json: '"nodes"',
  mermaid: "flowchart",
  dot: "digraph",
  svg: "<svg",
  html: "<!doctype html",
} as const;
const timelineMarks = { json: '"critical_path"', svg: "<svg" } as const;
