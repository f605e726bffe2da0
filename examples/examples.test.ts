/** Every example runs, on the embedded system, with the inputs that its comment names (or a stand-in for the web). */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, createClient, type Embedded, loadConfig, parseWorkflow, startEmbedded } from "../index.ts";
import { greeter } from "./greeter.ts";
import { promises } from "./promises.suite.ts";

let web: Server;
let webUrl: string;
let system: Embedded;

/** Answers JSON; `/flaky` is busy the first two times. */
beforeAll(async () => {
  let calls = 0;
  web = createServer((request, response) => {
    const isBusy = request.url === "/flaky" && ++calls <= 2;
    response.writeHead(isBusy ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(isBusy ? { error: "busy" } : { name: "skein", stars: 12 }));
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  const { port } = web.address() as AddressInfo;
  webUrl = `http://127.0.0.1:${port}`;
  system = await startEmbedded({
    config: loadConfig({ PORT: "0", SKEIN_HTTP_ALLOW: `127.0.0.1:${port}` }),
    logger: pino({ level: "silent" }),
    executors: [greeter],
    inMemory: true,
  });
});
afterAll(async () => {
  await system?.stop();
  web?.close();
});

/** What happened in a run, until its end, as `<task> completed` or `run completed`. */
async function storyOf(client: Client, runId: string): Promise<string[]> {
  const story: string[] = [];
  for await (const event of client.runs.events(runId)) {
    story.push("key" in event ? event.type.replace("task.", `${event.key} `) : event.type.replace("run.", "run "));
  }
  return story;
}

describe("the examples", () => {
  it("are all tried here", () => {
    const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".yaml"));
    expect(files.sort()).toEqual(
      Object.keys(promises)
        .map((name) => `${name}.yaml`)
        .sort(),
    );
  });

  it.each(Object.entries(promises))("%s.yaml gives what it promises", async (name, promised) => {
    const {
      inputs,
      status = "completed",
      outputs = null,
      error,
      attempts = {},
      isCancelled,
      isRegistered,
      order = [],
    } = promised;
    const client = createClient({ url: system.url });
    const definition = parseWorkflow(readFileSync(join(import.meta.dirname, `${name}.yaml`), "utf8"));
    if (isRegistered) await client.workflows.register({ ...definition });
    const run = await client.runs.submit({ definition: { ...definition }, inputs: inputs?.(webUrl) ?? {} });
    if (isCancelled) await client.runs.cancel(run.id);
    await promised.during?.(client, run.id);
    const story = await storyOf(client, run.id);
    const result = await client.runs.result(run.id);
    expect(result).toEqual({ status, outputs, error: error ? expect.objectContaining(error) : null });
    for (const [task, count] of Object.entries(attempts)) {
      expect((await client.runs.task(run.id, task)).attempt).toBe(count);
    }
    for (const chain of order) expect(story.filter((event) => chain.includes(event))).toEqual(chain);
  });
});
