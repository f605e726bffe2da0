/** The cache of outputs over REST: what it holds, how it shows, and how it is made to forget. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CacheStatsBody } from "../../core/protocol/cache.ts";
import type { TaskDetailBody } from "../../core/protocol/runs.ts";
import { createClient } from "../../sdk/client.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const cached = { id: "a", input: { q: 1 }, cache: { ttl: "1h" } };
const clientOf = ({ key }: Namespace) => createClient({ url: server.url, apiKey: key });

it("shows a hit in the task, its reasons, the graph, the timeline and the log", async () => {
  const space = await server.newNamespace();
  const agent = await space.join();
  const first = await space.submit([cached]);
  await agent.work(() => "found");
  await space.finished(first.id);
  const { id } = await space.submit([cached]);
  expect((await space.finished(id)).status).toBe("completed");
  const at = `/v1/runs/${id}`;
  const task = await space.call<TaskDetailBody>({ path: `${at}/tasks/a` });
  expect(task.body).toMatchObject({
    status: "completed",
    output: "found",
    attempts: [],
    cached_from: { run_id: first.id, key: "a" },
  });
  const why = await space.call<{ reasons: { message: string }[] }>({ path: `${at}/tasks/a/why` });
  expect(why.body.reasons[0]!.message).toContain(`from the cache, with the output of task a of run ${first.id}`);
  const picture = async (path: string) => (await space.call({ path: at + path })).text;
  expect(JSON.parse(await picture("/graph?format=json")).nodes).toMatchObject([{ key: "a", cached_from: first.id }]);
  for (const format of ["svg", "mermaid", "dot"])
    expect(await picture(`/graph?format=${format}`)).toContain("from the cache");
  expect(JSON.parse(await picture("/timeline?format=json")).tasks).toMatchObject([
    { cached_from: first.id, segments: [] },
  ]);
  expect(await picture("/timeline?format=svg")).toContain("from cache");
  expect(await picture("/logs")).toContain("task answered from the cache");
});

it("is counted and cleared by whoever may write runs", async () => {
  const space = await server.newNamespace();
  const client = clientOf(space);
  const agent = await space.join();
  for (const task of [cached, cached, { ...cached, input: 2 }]) {
    const { id } = await space.submit([task]);
    await agent.work(() => "found");
    await space.finished(id);
  }
  const { data } = await client.cache.stats();
  expect(data).toEqual([
    { capability: "work", version: "1", outputs: 2, bytes: 14, hits: 1, oldest_at: expect.any(String) },
  ]);
  const reader = await space.keyWith("runs:read");
  expect((await space.call<CacheStatsBody>({ path: "/v1/cache", key: reader })).body.data).toEqual(data);
  expect(await space.call({ method: "DELETE", path: "/v1/cache", key: reader })).toMatchObject({ status: 403 });
  expect(await client.cache.clear({ capability: "work", version: "2" })).toEqual({ cleared: 0 });
  expect(await client.cache.clear({ capability: "work" })).toEqual({ cleared: 2 });
  expect((await client.cache.stats()).data).toEqual([]);
});

it("refuses a key that names an unknown, with code and pointer, and a filter that it does not know", async () => {
  const space = await server.newNamespace();
  const definition = {
    name: "w",
    tasks: [{ id: "a", capability: "work", cache: { ttl: "1h", key: "{{ input.q }}" } }],
  };
  const refused = await space.call({ path: "/v1/runs", body: { definition } });
  expect(refused).toMatchObject({
    status: 422,
    body: { errors: [{ code: "EXPRESSION_UNKNOWN_NAME", pointer: "/definition/tasks/0/cache/key" }] },
  });
  expect(await space.call({ method: "DELETE", path: "/v1/cache?run=everything" })).toMatchObject({ status: 400 });
  expect(await space.call({ method: "DELETE", path: "/v1/cache?workflow=w" })).toMatchObject({ status: 400 });
});
