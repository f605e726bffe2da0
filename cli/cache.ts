/** `skein cache`: outputs that answer for equal tasks. */
import { splitReference } from "../core/reference.ts";
import type { Context } from "./context.ts";
import { ago, printJson, printTable } from "./output.ts";

export async function cacheStats(context: Context): Promise<void> {
  const client = await context.client();
  const { data } = await client.cache.stats();
  if (context.json) return printJson(context, data);
  printTable(
    context,
    ["CAPABILITY", "VERSION", "OUTPUTS", "BYTES", "HITS", "OLDEST"],
    data.map(({ capability, version, outputs, bytes, hits, oldest_at }) => [
      capability,
      version,
      String(outputs),
      String(bytes),
      String(hits),
      oldest_at === null ? "" : ago(oldest_at),
    ]),
  );
}

export async function clearCache(
  context: Context,
  { capability, run }: { capability?: string; run?: string },
): Promise<void> {
  const { name, version } = capability === undefined ? {} : splitReference(capability);
  const client = await context.client();
  const answer = await client.cache.clear({
    ...(name !== undefined && { capability: name }),
    ...(version !== undefined && { version }),
    ...(run !== undefined && { run }),
  });
  if (context.json) return printJson(context, answer);
  context.stdout.write(`${answer.cleared} ${answer.cleared === 1 ? "output" : "outputs"} forgotten\n`);
}
