import { Ajv2020 } from "ajv/dist/2020.js";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultLimits } from "../core/limits.ts";
import type { Memory } from "../memory/memory.ts";
import type { Store } from "../store/store.ts";
import type { OpenApi, Operation } from "../test/api/conformance.ts";
import type { App } from "./context.ts";
import { createDefinitions } from "./definitions/definitions.ts";
import { buildServer } from "./server.ts";
import { createStreams } from "./streams.ts";
import { createWakeups } from "./wakeups.ts";

const checks: Record<string, () => Promise<void>> = {};
const routes: string[] = [];
let app: App;
let document: OpenApi;

/** The whole API without a database: nothing here asks for one. */
beforeAll(async () => {
  app = await buildServer({
    context: {
      store: { runs: {}, leases: {}, agents: {}, agentData: {} } as Store,
      memory: {} as Memory,
      wakeups: createWakeups(),
      definitions: createDefinitions(defaultLimits),
      limits: defaultLimits,
      planners: [],
      streams: createStreams(1),
      queueNames: undefined,
      declareQueues: async () => {},
      bidsDecided: () => {},
      agentsChanged: () => {},
      schedulesChanged: () => {},
      limitsChanged: () => {},
      checks,
      metrics: async () => "skein_up 1\n",
    },
    auth: { agents: {} as Store["agents"], keys: {} as Store["keys"], adminKey: undefined, requireKey: true },
    allowedHosts: [],
    logger: pino({ level: "silent" }),
    version: "1.2.3",
    instrument: (server) => {
      server.addHook("onRoute", ({ method, url }) => {
        if (method !== "HEAD" && !url.startsWith("/docs")) routes.push(`${method} ${url}`);
      });
    },
  });
  document = (await app.inject({ url: "/openapi.json", headers: { host: "localhost" } })).json();
});
afterAll(() => app.close());

const get = (url: string) => app.inject({ url, headers: { host: "localhost" } });

function operations(): { name: string; path: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
}

/** Names of the operations that break the rule. */
const breaking = (rule: (operation: Operation, path: string) => boolean) =>
  operations()
    .filter(({ operation, path }) => !rule(operation, path))
    .map(({ name }) => name);

describe("the OpenAPI document", () => {
  it("is of 3.1 and has every route", () => {
    expect(document).toMatchObject({ openapi: "3.1.1", info: { title: "Skein", version: "1.2.3" } });
    const documented = operations().map(({ name }) => name.replaceAll(/\{(\w+)\}/g, ":$1"));
    expect([...documented, "GET /openapi.json"].sort()).toEqual([...routes].sort());
  });

  it("says of every operation what it is for, by a name of its own", () => {
    const tags = document.tags.map(({ name }) => name);
    expect(breaking(({ tags: own }) => own?.length === 1 && tags.includes(own[0]!))).toEqual([]);
    expect(breaking(({ summary }) => (summary?.length ?? 0) > 5)).toEqual([]);
    expect(new Set(operations().map(({ operation }) => operation.operationId)).size).toBe(operations().length);
  });

  it("says of every operation what it takes and who may ask", () => {
    expect(
      breaking(({ parameters = [] }, path) =>
        [...path.matchAll(/\{(\w+)\}/g)].every(([, name]) =>
          parameters.some((parameter) => parameter.name === name && parameter.in === "path" && parameter.required),
        ),
      ),
    ).toEqual([]);
    const posts = operations().filter(({ name }) => name.startsWith("POST"));
    expect(posts.filter(({ operation }) => !operation.requestBody).map(({ name }) => name)).toEqual([]);
    expect(
      breaking(({ security }, path) => (path.startsWith("/v1/") ? security!.length > 0 : security!.length === 0)),
    ).toEqual([]);
    const schemes = Object.keys(document.components.securitySchemes);
    expect(breaking(({ security }) => security!.every((one) => schemes.includes(Object.keys(one)[0]!)))).toEqual([]);
  });

  it("says of every operation what it answers, problems included", () => {
    expect(
      breaking(({ responses }) => {
        const successes = Object.entries(responses).filter(([status]) => status.startsWith("2"));
        return (
          successes.length > 0 && successes.every(([status, { content }]) => status === "204" || content !== undefined)
        );
      }),
    ).toEqual([]);
    expect(breaking(({ responses }) => "application/problem+json" in (responses.default?.content ?? {}))).toEqual([]);
  });

  it("takes workflows as YAML and as JSON", () => {
    const { content } = document.paths["/v1/workflows"]!.post!.requestBody!;
    expect(Object.keys(content)).toEqual(["application/yaml", "application/json"]);
    expect(content["application/yaml"]!.schema).toEqual({ $ref: "#/components/schemas/Workflow" });
  });

  it("has only schemas that are valid, used, described by one name, and no reference into the void", () => {
    const { schemas } = document.components;
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
    expect(Object.keys(schemas).sort()).toEqual([...new Set(references)].sort());
    expect(Object.keys(schemas).filter((name) => /(Input|Output|\d)$/.test(name))).toEqual([]);
    const shapes = Object.values(schemas).map((schema) => JSON.stringify(schema));
    expect(new Set(shapes).size).toBe(shapes.length);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, "openapi");
    for (const [name, schema] of Object.entries(schemas)) {
      expect([name, ajv.validateSchema(schema)]).toEqual([name, true]);
      expect(() => ajv.compile({ $ref: `openapi#/components/schemas/${name}` })).not.toThrow();
    }
  });
});

describe("the reference at /docs", () => {
  it("brings everything with it, under a policy that forbids the rest", async () => {
    const page = await get("/docs/");
    expect(page.headers["content-security-policy"]).toMatch(/^default-src 'self';/);
    expect(page.headers["content-security-policy"]).not.toContain("http");
    for (const path of ["/docs/", "/docs"]) {
      const assets = [...(await get(path)).body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => asset!);
      expect(assets.length).toBeGreaterThan(4);
      for (const asset of assets) {
        const { host, pathname } = new URL(asset, `http://localhost${path}`);
        expect([asset, host, (await get(pathname)).statusCode]).toEqual([asset, "localhost", 200]);
      }
    }
    // An inline script would be stopped by the policy.
    expect(page.body).not.toMatch(/<script>|<script (?!src)|\son\w+=/);
    expect((await get("/docs/json")).json()).toEqual(document);
  });
});

describe("health", () => {
  it("is told without a key", async () => {
    expect((await get("/healthz")).json()).toEqual({ status: "ok" });
    const metrics = await get("/metrics");
    expect([metrics.headers["content-type"], metrics.body]).toEqual([
      "text/plain; version=0.0.4; charset=utf-8",
      "skein_up 1\n",
    ]);
  });

  it("is ready only while every check passes, and names the one that does not", async () => {
    checks.database = async () => {};
    expect([(await get("/readyz")).statusCode, (await get("/readyz")).json()]).toEqual([
      200,
      { status: "ready", checks: { database: "ok" } },
    ]);
    checks.broker = async () => {
      throw new Error("reconnecting");
    };
    const unready = await get("/readyz");
    expect([unready.statusCode, unready.json()]).toEqual([
      503,
      { status: "not ready", checks: { database: "ok", broker: "reconnecting" } },
    ]);
  });

  it("explains every error code", async () => {
    expect((await get("/problems/RATE_LIMITED")).json()).toEqual({
      code: "RATE_LIMITED",
      title: "Too many requests",
      status: 429,
    });
  });
});
