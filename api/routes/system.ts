/** Is it alive, is it ready, how is it doing: outside `/v1`, without a key. */
import { z } from "zod";
import { type ErrorCode, errorTitles } from "../../core/errors.ts";
import type { ApiContext, App } from "../context.ts";
import { statusOf } from "../problems.ts";

const CHECK_TIMEOUT_MS = 2_000;

const health = z.object({ status: z.literal("ok") });
const readiness = z.object({
  status: z.enum(["ready", "not ready"]),
  checks: z.record(z.string(), z.string()).meta({ description: "By name: `ok`, or what is wrong" }),
});
const errorMeaning = z.object({ code: z.string(), title: z.string(), status: z.number().int() });
const exposition = {
  description: "Text exposition format 0.0.4",
  content: { "text/plain": { schema: z.string() } },
};

export async function systemRoutes(app: App, { checks, metrics }: ApiContext): Promise<void> {
  const config = { scope: "public" } as const;
  const tags = ["system"];

  app.get(
    "/healthz",
    { config, schema: { tags, summary: "Is the process alive?", response: { 200: health } } },
    async () => ({ status: "ok" as const }),
  );

  app.get(
    "/readyz",
    {
      config,
      schema: {
        tags,
        summary: "Can it serve?",
        description: "503 names the check that fails.",
        response: { 200: readiness, 503: readiness },
      },
    },
    async (_request, reply) => {
      const results = await Promise.all(
        Object.entries(checks).map(async ([name, check]) => [name, await outcomeOf(check)] as const),
      );
      const isReady = results.every(([, outcome]) => outcome === "ok");
      const status: "ready" | "not ready" = isReady ? "ready" : "not ready";
      return reply.code(isReady ? 200 : 503).send({ status, checks: Object.fromEntries(results) });
    },
  );

  app.get(
    "/metrics",
    { config, schema: { tags, summary: "Prometheus metrics", response: { 200: exposition } } },
    async (_request, reply) => {
      const text = await metrics();
      return reply.type("text/plain; version=0.0.4; charset=utf-8").serializer(String).send(text);
    },
  );

  app.get(
    "/problems/:code",
    {
      config,
      schema: {
        tags,
        summary: "What an error code means",
        params: z.object({ code: z.string() }),
        response: { 200: errorMeaning },
      },
    },
    async (request, reply) => {
      const { code } = request.params;
      if (!Object.hasOwn(errorTitles, code)) return reply.callNotFound();
      return { code, title: errorTitles[code as ErrorCode], status: statusOf(code as ErrorCode) };
    },
  );
}

async function outcomeOf(check: () => Promise<void>): Promise<string> {
  const timeout = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS).unref();
  });
  try {
    await Promise.race([check(), timeout]);
    return "ok";
  } catch (error) {
    return (error as Error).message;
  }
}
