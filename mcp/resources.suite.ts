/** Resources and prompts, at every door and in every version of the protocol. */
import { type Client, type GetPromptResult, ResourceNotFoundError } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import type { Client as RestClient } from "../sdk/client.ts";
import type { ProtocolVersion } from "./tools.suite.ts";

const echo = { name: "resourceful", tasks: [{ id: "hi", capability: "core.echo", input: "{{ inputs.text }}" }] };
const broken = {
  name: "broken-resource",
  tasks: [
    { id: "a", capability: "core.echo", input: {} },
    { id: "b", needs: ["a"], capability: "core.echo", input: "{{ tasks.a.output.nothing }}" },
    { id: "c", needs: ["b"], capability: "core.echo" },
  ],
};

export function describeResources(version: ProtocolVersion, connected: () => Client, rest: () => RestClient): void {
  describe(`resources and prompts for a client of ${version}`, () => {
    let client: Client;

    beforeAll(() => {
      client = connected();
    });

    const finished = async (definition: object, inputs = {}) => {
      const { id } = await rest().runs.submit({ definition: definition as never, inputs }, { wait: 30 });
      return id;
    };
    const read = async (uri: string) => {
      const { contents } = await client.readResource({ uri });
      expect(contents).toHaveLength(1);
      const [content] = contents as [{ uri: string; mimeType: string; text: string }];
      expect(content.uri).toBe(uri);
      return content;
    };

    it("reads a run, its graph and its transcript", async () => {
      const id = await finished({ ...echo, outputs: "{{ tasks.hi.output }}" }, { text: "geese" });
      const run = await read(`skein://runs/${id}`);
      expect(run.mimeType).toBe("application/json");
      expect(JSON.parse(run.text)).toMatchObject({
        id,
        status: "completed",
        inputs: { text: "geese" },
        outputs: "geese",
      });
      const graph = await read(`skein://runs/${id}/graph`);
      expect([graph.mimeType, graph.text]).toEqual(["text/vnd.mermaid", expect.stringContaining("flowchart")]);
      const { text } = await read(`skein://runs/${id}/events`);
      const events = text.split("\n").map((line) => JSON.parse(line) as { type: string; key?: string });
      expect(events.at(-1)).toMatchObject({ type: "run.completed" });
      expect(events).toContainEqual(expect.objectContaining({ type: "task.completed", key: "hi" }));
    });

    it("lists the newest runs in pages, each once, and says how others are addressed", async () => {
      const ids: string[] = [];
      for (let n = 0; n < 21; n++) ids.push((await rest().runs.submit({ definition: echo, inputs: { text: "x" } })).id);
      const found: string[] = [];
      for (let cursor: string | undefined, pages = 0; pages < 20; pages++) {
        const { resources, nextCursor } = await client.listResources(cursor === undefined ? {} : { cursor });
        found.push(...resources.map(({ uri }) => uri));
        cursor = nextCursor;
        if (cursor === undefined) break;
      }
      expect(new Set(found).size).toBe(found.length);
      expect(found).toEqual(
        expect.arrayContaining(
          ids.flatMap((id) => ["", "/graph", "/events"].map((path) => `skein://runs/${id}${path}`)),
        ),
      );
      const { resourceTemplates } = await client.listResourceTemplates();
      expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate).sort()).toEqual([
        "skein://conversations/{conversation_id}",
        "skein://conversations/{conversation_id}/graph",
        "skein://conversations/{conversation_id}/transcript",
        "skein://runs/{run_id}",
        "skein://runs/{run_id}/events",
        "skein://runs/{run_id}/graph",
        "skein://workflows/{name}",
      ]);
    });

    it("completes the id of a run", async () => {
      const id = await finished(echo, { text: "x" });
      const { completion } = await client.complete({
        ref: { type: "ref/resource", uri: "skein://runs/{run_id}" },
        argument: { name: "run_id", value: id.slice(0, -1) },
      });
      expect(completion.values).toContain(id);
    });

    it("reads a conversation of agents with its transcript and its diagram, and a workflow, and completes how they are called", async () => {
      const name = `resource-${version}`;
      await rest().workflows.register({ ...echo, name });
      const members = [`${name}-ann`, `${name}-bob`];
      const { id } = await rest().conversations.start({ protocol: "vote", question: "Which way?", members });
      const conversation = await read(`skein://conversations/${id}`);
      expect(JSON.parse(conversation.text)).toMatchObject({ id, protocol: "vote", status: "open" });
      const { text, mimeType } = await read(`skein://conversations/${id}/transcript`);
      expect(mimeType).toBe("application/jsonl");
      const [first] = text.split("\n").map((line) => JSON.parse(line) as object);
      expect(first).toMatchObject({ from: null, to: expect.arrayContaining(members), type: "call" });
      expect((await read(`skein://conversations/${id}/graph`)).text).toContain("sequenceDiagram");
      expect(JSON.parse((await read(`skein://workflows/${name}`)).text)).toMatchObject({ name, tasks: [{ id: "hi" }] });
      const complete = async (uri: string, argument: { name: string; value: string }) =>
        (await client.complete({ ref: { type: "ref/resource", uri }, argument })).completion.values;
      const ids = await complete("skein://conversations/{conversation_id}", { name: "conversation_id", value: id });
      expect(ids).toEqual([id]);
      expect(await complete("skein://workflows/{name}", { name: "name", value: name })).toEqual([name]);
      await rest().conversations.cancel(id);
    });

    it.each([
      "skein://conversations/0198c0de-0000-7000-8000-000000000000/transcript",
      "skein://conversations/..%2Fruns",
      "skein://workflows/nobody",
      "skein://workflows/..%2Fruns",
      "skein://runs/0198c0de-0000-7000-8000-000000000000",
      "skein://runs/0198c0de-0000-7000-8000-000000000000/graph",
      "skein://runs/..%2Fagents",
      "skein://runs/1/nothing",
      "other://thing",
    ])("knows no resource %s", async (uri) => {
      await expect(client.readResource({ uri })).rejects.toBeInstanceOf(ResourceNotFoundError);
    });

    it("refuses a cursor that it has not given", async () => {
      await expect(client.listResources({ cursor: "nonsense" })).rejects.toMatchObject({ code: -32_602 });
    });

    const textOf = ({ messages }: GetPromptResult) =>
      messages.map(({ content }) => (content.type === "text" ? content.text : "")).join("\n");

    it("prompts for a workflow with the capabilities there are", async () => {
      const { prompts } = await client.listPrompts();
      expect(prompts.map(({ name }) => name).sort()).toEqual(["explain_failed_run", "plan_workflow"]);
      const args = { goal: "a poem about geese", inputs: "the word goose" };
      const text = textOf(await client.getPrompt({ name: "plan_workflow", arguments: args }));
      for (const part of [...Object.values(args), "- core.echo", "- mcp.shout", "workflow_validate"]) {
        expect(text).toContain(part);
      }
      await expect(client.getPrompt({ name: "plan_workflow", arguments: {} })).rejects.toMatchObject({ code: -32_602 });
    });

    it("prompts for the cause of a failure with what is known of it", async () => {
      const id = await finished(broken);
      const prompt = await client.getPrompt({ name: "explain_failed_run", arguments: { run_id: id } });
      const text = textOf(prompt);
      expect(text).toContain("why this run failed");
      expect(text).toContain("b (core.echo): failed");
      expect(text).toContain("EXPRESSION_NO_SUCH_FIELD");
      expect(text).toContain("- c (core.echo): skipped");
      expect(prompt.messages.at(-1)!.content).toMatchObject({
        type: "resource",
        resource: { uri: `skein://runs/${id}/graph`, text: expect.stringContaining("flowchart") },
      });
      const { completion } = await client.complete({
        ref: { type: "ref/prompt", name: "explain_failed_run" },
        argument: { name: "run_id", value: id },
      });
      expect(completion.values).toEqual([id]);

      const fine = await finished(echo, { text: "x" });
      const other = textOf(await client.getPrompt({ name: "explain_failed_run", arguments: { run_id: fine } }));
      expect(other).toContain("has not failed");
      const nobody = { run_id: "0198c0de-0000-7000-8000-000000000000" };
      await expect(client.getPrompt({ name: "explain_failed_run", arguments: nobody })).rejects.toThrow(
        "RUN_NOT_FOUND",
      );
    });
  });
}
