/** Every example runs, on the embedded system, with the inputs that its comment names (or a stand-in for the web). */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createClient,
  type Embedded,
  type Json,
  type JsonObject,
  loadConfig,
  parseWorkflow,
  startEmbedded,
} from "../index.ts";
import { greeter } from "./greeter.ts";

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

const examples: Record<string, { inputs?: () => JsonObject; outputs: Json; attempts?: Record<string, number> }> = {
  hello: { outputs: { greetings: ["Hello, world!", "Bonjour, world !"] } },
  condition: {
    inputs: () => ({ amount: 1200 }),
    outputs: { decision: "somebody has to look at 1200" },
  },
  expressions: {
    inputs: () => JSON.parse(readFileSync(join(import.meta.dirname, "expressions.inputs.json"), "utf8")) as JsonObject,
    outputs: {
      cart: {
        lines: [
          { name: "down", price: 30, count: 2 },
          { name: "quill", price: 1.5, count: 3 },
        ],
        names: ["DOWN", "QUILL", "EGG"],
        summary: "3 items, the first is down",
        free_delivery: true,
        template: "{{ this is not an expression }}",
      },
      sent_as: "parcel",
    },
  },
  greeter: { inputs: () => ({ name: "geese" }), outputs: ["Hello, geese!", "Bonjour, geese!"] },
  http: { inputs: () => ({ url: webUrl }), outputs: { status: 200, fields: 2 } },
  javascript: { inputs: () => ({ words: ["skein", "gaggle", "wedge"] }), outputs: { longest: "gaggle" } },
  jsonata: { outputs: { totals: { lake: 19, field: 30 } } },
  retry: {
    inputs: () => ({ url: `${webUrl}/flaky` }),
    outputs: { body: { name: "skein", stars: 12 } },
    attempts: { call: 3 },
  },
};

describe("the examples", () => {
  it("are all tried here", () => {
    const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".yaml"));
    expect(files).toEqual(
      Object.keys(examples)
        .map((name) => `${name}.yaml`)
        .sort(),
    );
  });

  it.each(Object.entries(examples))("%s.yaml gives what it promises", async (name, { inputs, outputs, attempts }) => {
    const client = createClient({ url: system.url });
    const definition = parseWorkflow(readFileSync(join(import.meta.dirname, `${name}.yaml`), "utf8"));
    const run = await client.runs.submit({ definition: { ...definition }, inputs: inputs?.() ?? {} }, { wait: 20 });
    expect(await client.runs.result(run.id)).toEqual({ status: "completed", outputs, error: null });
    for (const [task, count] of Object.entries(attempts ?? {})) {
      expect((await client.runs.task(run.id, task)).attempt).toBe(count);
    }
  });
});
