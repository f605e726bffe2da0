/** What the cache of outputs holds, and how to make it forget. */
import { cacheCleared, cacheFilter, cacheStats } from "../../core/protocol/cache.ts";
import type { ApiContext, App } from "../context.ts";

export async function cacheRoutes(app: App, { store }: ApiContext): Promise<void> {
  app.get(
    "/cache",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["cache"],
        summary: "Say what the cache holds",
        description: "By capability and version: how many outputs, their size, and how many tasks took one.",
        response: { 200: cacheStats },
      },
    },
    async (request) => {
      const stats = await store.cache.stats(request.principal.namespace);
      return { data: stats.map(({ oldestAt, ...row }) => ({ ...row, oldest_at: oldestAt?.toISOString() ?? null })) };
    },
  );

  app.delete(
    "/cache",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["cache"],
        summary: "Clear the cache",
        description: "Of the namespace: all of it, or the outputs of one capability, version or run.",
        querystring: cacheFilter,
        response: { 200: cacheCleared },
      },
    },
    async (request) => {
      const { run, ...filter } = request.query;
      return { cleared: await store.cache.clear(request.principal.namespace, { ...filter, runId: run }) };
    },
  );
}
