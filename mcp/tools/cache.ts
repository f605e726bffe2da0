import { z } from "zod";
import { cacheCleared, cacheFilter, cacheStats } from "../../core/protocol/cache.ts";
import { defineTool, destroying, readOnly } from "../tool.ts";

export const cacheStatsTool = defineTool({
  name: "cache_stats",
  title: "Say what the cache holds",
  description:
    "Outputs that answer for equal tasks, by capability and version: how many are stored, their bytes, and how many tasks took one instead of running.",
  annotations: readOnly,
  input: z.strictObject({}),
  output: cacheStats,
  call: (client) => client.cache.stats(),
  text: ({ data }) =>
    data
      .map(
        ({ capability, version, outputs, bytes, hits }) =>
          `${capability}@${version}: ${outputs} outputs, ${bytes} bytes, ${hits} hits`,
      )
      .join("\n") || "The cache is empty.",
});

const { capability, version, run } = cacheFilter.shape;

export const cacheClear = defineTool({
  name: "cache_clear",
  title: "Clear the cache",
  description:
    "Forgets stored outputs, so that equal tasks run again: those of one capability, version or run, or with no argument all of the namespace. Use it when a capability does something else now but says no new version.",
  annotations: destroying,
  input: z.strictObject({
    capability: capability.describe("Outputs of this capability alone"),
    version: version.describe("Of this version of it"),
    run_id: run.describe("Outputs that tasks of this run stored"),
  }),
  output: cacheCleared,
  call: (client, { run_id, ...filter }) => client.cache.clear({ ...filter, ...(run_id && { run: run_id }) }),
  text: ({ cleared }) => `${cleared} outputs are forgotten.`,
});
