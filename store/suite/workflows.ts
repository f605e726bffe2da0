import { expect, it } from "vitest";
import { workflowHash } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import { newWorkflow } from "./team.ts";

export function workflowCases(open: OpenTeam): void {
  it("answers the version it has to the same content, whatever the order of its keys", async () => {
    const { store, namespace } = await open();
    const first = await store.workflows.register(namespace, {
      name: "flow",
      description: "x",
      tasks: newWorkflow({ a: {} }).tasks,
    });
    const second = await store.workflows.register(namespace, {
      tasks: newWorkflow({ a: {} }).tasks,
      description: "x",
      name: "flow",
    });
    expect(first).toMatchObject({ created: true, stored: { name: "flow", version: 1 } });
    expect(second).toEqual({ created: false, stored: first.stored });
  });

  it("gives other content the next version", async () => {
    const { store, namespace } = await open();
    await store.workflows.register(namespace, newWorkflow({ a: {} }, { version: 7 }));
    const next = await store.workflows.register(namespace, newWorkflow({ b: {} }));
    expect(next).toMatchObject({ created: true, stored: { version: 8, definition: newWorkflow({ b: {} }) } });
  });

  it("refuses a named version that exists with other content", async () => {
    const { store, namespace } = await open();
    const versionOne = newWorkflow({ a: {} }, { version: 1 });
    await store.workflows.register(namespace, versionOne);
    const other = store.workflows.register(namespace, newWorkflow({ b: {} }, { version: 1 }));
    await expect(other).rejects.toMatchObject({ code: "WORKFLOW_VERSION_CONFLICT" });
    expect(await store.workflows.register(namespace, versionOne)).toMatchObject({ created: false });
  });

  it("finds the newest version unless one is named", async () => {
    const { store, namespace } = await open();
    await store.workflows.register(namespace, newWorkflow({ a: {} }));
    await store.workflows.register(namespace, newWorkflow({ b: {} }));
    expect(await store.workflows.find(namespace, "flow")).toMatchObject({ version: 2 });
    expect(await store.workflows.find(namespace, "flow", 1)).toMatchObject({
      version: 1,
      hash: workflowHash(newWorkflow({ a: {} })),
    });
    expect(await store.workflows.find(namespace, "flow", 3)).toBeUndefined();
    expect(await store.workflows.find(namespace, "unknown")).toBeUndefined();
  });

  it("lists the newest version of each name, page by page", async () => {
    const { store, namespace } = await open();
    for (const name of ["c", "a", "b"]) await store.workflows.register(namespace, newWorkflow({ t: {} }, { name }));
    await store.workflows.register(namespace, newWorkflow({ u: {} }, { name: "a" }));
    const first = await store.workflows.list(namespace, { limit: 2 });
    expect(first.data.map(({ name, version }) => [name, version])).toEqual([
      ["a", 2],
      ["b", 1],
    ]);
    const last = await store.workflows.list(namespace, { limit: 2, cursor: first.nextCursor! });
    expect(last.data.map(({ name }) => name)).toEqual(["c"]);
    expect(last.nextCursor).toBeNull();
  });

  it("gives a run the definition it was submitted with, whatever is registered later", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, newWorkflow({ a: {} }));
    const runId = await team.submit({ a: {} });
    await team.store.workflows.register(team.namespace, newWorkflow({ b: {} }));
    expect(await team.store.workflows.definitionOf(team.namespace, runId)).toEqual(newWorkflow({ a: {} }));
  });

  it("stores a definition once, however many runs and versions have it", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, newWorkflow({ a: {} }));
    await team.submit({ a: {} });
    await team.submit({ a: {} });
    const rows = await team.sql.query("select hash from definition where namespace = $1", [team.namespace]);
    expect(rows).toHaveLength(1);
  });
}
