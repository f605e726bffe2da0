/** `skein memory`: keys that agents share. */
import type { SharedChangeBody } from "../core/protocol/shared-memory.ts";
import type { Context } from "./context.ts";
import { ago, jsonOrText, printJson, printTable, toJson, visible } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function listShared(
  context: Context,
  scope: string,
  { limit, prefix, watch }: { limit: number; prefix?: string; watch?: boolean },
): Promise<void> {
  const client = await context.client();
  const memory = client.memory(scope);
  const wanted = prefix === undefined ? {} : { prefix };
  if (watch) return watchShared(context, memory.watch(wanted, context.interrupt()));
  const entries = await firstItems((page) => memory.list({ ...page, ...wanted }), limit);
  if (context.json) return printJson(context, entries);
  printTable(
    context,
    ["KEY", "REVISION", "WRITTEN", "BY", "VALUE"],
    entries.map(({ key, revision, updated_at, by, value }) => [
      key,
      String(revision),
      ago(updated_at),
      by.name,
      JSON.stringify(value),
    ]),
  );
}

async function watchShared(context: Context, changes: AsyncIterable<SharedChangeBody | "reset">): Promise<void> {
  try {
    for await (const change of changes) {
      if (change === "reset") context.note("Too much was missed; what there is follows anew.");
      else context.stdout.write(context.json ? `${JSON.stringify(change)}\n` : `${lineOf(change)}\n`);
    }
  } catch (error) {
    // Ctrl-C is how one leaves.
    if ((error as Error).name !== "AbortError") throw error;
  }
}

function lineOf({ key, revision, removed, value, by }: SharedChangeBody): string {
  return `${revision} ${visible(key)} ${removed ? "is gone" : `= ${JSON.stringify(value)}`} (${visible(by.name)})`;
}

export async function getShared(context: Context, scope: string, key: string): Promise<void> {
  const client = await context.client();
  const entry = await client.memory(scope).read(key);
  if (context.json) return printJson(context, entry);
  context.note(`Revision ${entry.revision}, written ${ago(entry.updated_at)} by ${visible(entry.by.name)}.`);
  context.stdout.write(`${toJson(entry.value)}\n`);
}

export async function putShared(
  context: Context,
  scope: string,
  key: string,
  value: string,
  { ttl, ifRevision }: { ttl?: string; ifRevision?: number },
): Promise<void> {
  const client = await context.client();
  const entry = await client.memory(scope).write(key, jsonOrText(value), { ttl, ifRevision });
  if (context.json) return printJson(context, entry);
  context.stdout.write(`${visible(key)} has revision ${entry.revision}\n`);
}

export async function deleteShared(context: Context, scope: string, key: string): Promise<void> {
  const client = await context.client();
  await client.memory(scope).delete(key);
}
