/** `skein retention …` and `skein storage`: how long finished runs are kept, and how much there is. */
import type { Retention } from "../core/protocol/retention.ts";
import type { Context } from "./context.ts";
import { counted, printAnswer, printJson, printTable } from "./output.ts";

export async function getRetention(context: Context): Promise<void> {
  const client = await context.client();
  show(context, await client.retention.get());
}

interface KeepOptions {
  moveAfter: string;
  completed?: string;
  failed?: string;
  cancelled?: string;
  conversations?: string;
}

export async function setRetention(context: Context, { moveAfter, ...keep }: KeepOptions): Promise<void> {
  const client = await context.client();
  show(context, await client.retention.set({ move_after: moveAfter, keep }));
}

export async function removeRetention(context: Context): Promise<void> {
  const client = await context.client();
  await client.retention.remove();
  printAnswer(context, { removed: true }, "Everything is kept from now on.");
}

function show(context: Context, policy: Retention): void {
  if (context.json) {
    printJson(context, policy);
    return;
  }
  const { move_after, keep } = policy;
  if (move_after === null) {
    context.stdout.write("There is no policy: nothing moves to history, and everything is kept for ever.\n");
    return;
  }
  context.stdout.write(`Finished runs move to history after ${move_after}.\n`);
  printTable(
    context,
    ["WHAT", "KEPT"],
    Object.entries(keep).map(([status, time]) => [status, time ?? "for ever"]),
  );
}

export async function showStorage(context: Context): Promise<void> {
  const client = await context.client();
  const storage = await client.storage();
  if (context.json) return printJson(context, storage);
  const { namespace, runs, tasks, bytes, history, tables } = storage;
  printTable(
    context,
    ["NAMESPACE", "WHERE", "RUNS", "TASKS", "SIZE"],
    [
      [namespace, "hot", String(runs), String(tasks), size(bytes)],
      [namespace, "history", String(history.runs), String(history.tasks), size(history.bytes)],
    ],
  );
  if (!tables) return;
  const filled = tables.filter(({ rows }) => rows > 0);
  context.stdout.write(
    `\n${counted(tables.length, "table")}, ${size(tables.reduce((sum, one) => sum + one.bytes, 0))}\n`,
  );
  printTable(
    context,
    ["TABLE", "ROWS", "SIZE"],
    filled.map((table) => [table.name, String(table.rows), size(table.bytes)]),
  );
}

const MIB = 1_048_576;

function size(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
