/** The OpenAPI 3.1 document, made from the schemas of the routes, and its reference at `/docs`. */
import { STATUS_CODES } from "node:http";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyContextConfig } from "fastify";
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from "fastify-type-provider-zod";
import { z } from "zod";
import { canonicalJson, type Json } from "../core/json.ts";
import { problem } from "../core/protocol/common.ts";
import type { App } from "./context.ts";

const tags = [
  { name: "workflows", description: "Named, versioned DAG definitions" },
  { name: "runs", description: "Executions of a workflow: submit, watch, draw, fetch" },
  { name: "schedules", description: "Workflows that are run at the times of a calendar" },
  { name: "dead letters", description: "Tasks that failed for good though an agent was at them: run again, or let be" },
  { name: "plans", description: "Goals, planned as workflows: review, accept, reject" },
  { name: "artifacts", description: "The files of a run" },
  { name: "cache", description: "Outputs that answer for equal tasks" },
  { name: "work", description: "What executors say: claim, heartbeat, report, release" },
  { name: "agents", description: "Who takes part, and what they offer" },
  { name: "agent data", description: "What agents keep: state and memory" },
  { name: "shared memory", description: "Keys that agents share, by scope" },
  { name: "conversations", description: "What agents say to each other under a protocol: votes, debates, auctions" },
  { name: "messages", description: "What agents tell each other: inboxes, topics, replies" },
  { name: "retention", description: "How long finished runs are kept, and how much is stored" },
  { name: "keys", description: "API keys with their namespace and scopes" },
  { name: "limits", description: "How much may run at once, and how often, by key" },
  { name: "system", description: "Health, metrics and error codes, outside `/v1` and without a key" },
];

const securitySchemes = {
  apiKey: { type: "http", scheme: "bearer", description: "An API key that has the scope named, or `admin`" },
  agentToken: { type: "http", scheme: "bearer", description: "The token that `POST /v1/agents` answered" },
} as const;

/** The page brings its own scripts and styles, and reads nothing from elsewhere. */
const docsPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

export async function serveReference(app: App, version: string): Promise<void> {
  const toOperation = createJsonSchemaTransform({ zodToJsonConfig });
  const toDocument = createJsonSchemaTransformObject({ zodToJsonConfig });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.1",
      info: {
        title: "Skein",
        version,
        description: "A distributed multi-agent workflow orchestrator.",
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "/" }],
      tags,
      components: { securitySchemes },
    },
    transform: toOperation,
    transformObject: (document) => tidy(toDocument(document) as unknown as OpenApi) as never,
  });
  app.addHook("onRoute", ({ schema, config, method, url }) => {
    if (!schema || schema.hide || method === "HEAD") return;
    // What every route has in common is said once here, which keeps the routes short.
    schema.operationId ??= operationId(String(method), url);
    schema.security ??= securityOf(config?.scope);
    schema.response = { ...(schema.response as object), default: problemResponse };
  });
  await app.register(async (docs) => {
    docs.addHook("onRoute", (route) => {
      route.config = { ...route.config, scope: "public" };
    });
    docs.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
    await docs.register(swaggerUi, { routePrefix: "/docs", staticCSP: docsPolicy });
  });
}

/** `POST /v1/runs/:run/cancel` → `postRunsRunCancel`: what generated clients call the operation. */
function operationId(method: string, url: string): string {
  const words = url.replace("/v1", "").match(/\w+/g) ?? [];
  return method.toLowerCase() + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("");
}

const problemResponse = {
  description: "Anything but success; `code` is stable and says what it is",
  content: { "application/problem+json": { schema: problem } },
};

function securityOf(scope: FastifyContextConfig["scope"]): { [scheme: string]: string[] }[] {
  if (scope === "public") return [];
  return scope === "agent" ? [{ agentToken: [] }] : [{ apiKey: scope ? [scope] : [] }];
}

const zodToJsonConfig = {
  unrepresentable: "any",
  // Answers may grow members, so only what was written as strict says that it has no others.
  override: ({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: z.core.JSONSchema.BaseSchema }) => {
    if (zodSchema instanceof z.ZodObject && !zodSchema.def.catchall) delete jsonSchema.additionalProperties;
    // Its `format` says it in a word.
    if (jsonSchema.format === "uuid") delete jsonSchema.pattern;
  },
} as const;

interface OpenApi {
  paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>;
  components: { schemas: Record<string, Json> };
}

/**
 * The generator writes every schema twice, `Task` as it is answered and `TaskInput` as it is sent. Keeps what is used,
 * under its own name where both are the same or only one is in use.
 */
function tidy(document: OpenApi): OpenApi {
  const { schemas } = document.components;
  const used = namesUsed(document);
  const finalName = (name: string): string => {
    const own = name.replace(/Input$/, "");
    if (own === name || !(own in schemas)) return name;
    return !used.has(own) || sameShape(schemas[name], schemas[own]) ? own : name;
  };
  const renamed = <T>(value: T): T =>
    JSON.parse(JSON.stringify(value).replaceAll(reference, (_, name) => `"#/components/schemas/${finalName(name)}"`));
  const kept = Object.fromEntries([...used].map((name) => [finalName(name), renamed(schemas[name]!)]));
  const paths = renamed(document.paths);
  for (const { responses } of Object.values(paths).flatMap((path) => Object.values(path))) {
    for (const [status, response] of Object.entries(responses)) {
      if (response.description === "Default Response") response.description = STATUS_CODES[status] ?? "OK";
    }
  }
  return { ...document, paths, components: { ...document.components, schemas: kept } };
}

const reference = /"#\/components\/schemas\/(\w+)"/g;

function sameShape(twin: Json | undefined, own: Json | undefined): boolean {
  const bare = (schema: Json | undefined) => canonicalJson(schema).replaceAll(/(\/schemas\/\w+?)Input"/g, '$1"');
  return bare(twin) === bare(own);
}

/** Of the schemas that the operations refer to, and those that these refer to. */
function namesUsed({ paths, components: { schemas } }: OpenApi): Set<string> {
  const used = new Set<string>();
  const texts = [JSON.stringify(paths)];
  for (let text = texts.pop(); text !== undefined; text = texts.pop()) {
    for (const [, name] of text.matchAll(reference)) {
      if (used.has(name!)) continue;
      used.add(name!);
      texts.push(JSON.stringify(schemas[name!]));
    }
  }
  return used;
}
