/** `skein limits …`: what the namespace sets for the keys of limits, and what it pauses. */
import { formatDuration, parseDuration } from "../core/duration.ts";
import { SkeinError } from "../core/errors.ts";
import type { FlowLimitRecord } from "../core/protocol/flow-limits.ts";
import type { Context } from "./context.ts";
import { printJson, printTable } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function listLimits(context: Context, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const limits = await firstItems((page) => client.limits.list(page), limit);
  if (context.json) return printJson(context, limits);
  printLimits(context, limits);
}

export async function getLimit(context: Context, key: string): Promise<void> {
  const client = await context.client();
  const found = await client.limits.get(key);
  if (context.json) return printJson(context, found);
  printLimits(context, [found]);
}

export interface SetLimitOptions {
  concurrency?: number;
  rate?: string;
}

export async function setLimit(context: Context, key: string, { concurrency, rate }: SetLimitOptions): Promise<void> {
  if (concurrency === undefined && rate === undefined) {
    throw new SkeinError("REQUEST_INVALID", "Say --concurrency, --rate or both.");
  }
  const client = await context.client();
  const set = await client.limits.set(key, {
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate: readRate(rate) }),
  });
  if (context.json) return printJson(context, set);
  printLimits(context, [set]);
}

export async function removeLimit(context: Context, key: string): Promise<void> {
  const client = await context.client();
  await client.limits.remove(key);
  if (context.json) return printJson(context, { key, removed: true });
  context.stdout.write(`Nothing is set for ${key} any more.\n`);
}

export async function pauseLimit(context: Context, key: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  const paused = await client.limits.pause(key, reason);
  if (context.json) return printJson(context, paused);
  const { holders, in_force } = paused;
  const running = holders === 0 ? "Nothing runs under it." : `What runs goes on: ${holders}.`;
  const later = in_force ? "" : " Some tasks are still being told; skein limits get says when all are.";
  context.stdout.write(`${key} is paused. ${running}${later}\n`);
}

export async function resumeLimit(context: Context, key: string): Promise<void> {
  const client = await context.client();
  const resumed = await client.limits.resume(key);
  if (context.json) return printJson(context, resumed);
  context.stdout.write(`${key} goes on.\n`);
}

/** `100/1m`. */
function readRate(text: string): { limit: number; per: string } {
  const [, limit, per] = /^(\d+)\/(.+)$/.exec(text) ?? [];
  if (limit === undefined || per === undefined) {
    throw new SkeinError("REQUEST_INVALID", `--rate ${text} is no rate; write a number and a period, such as 100/1m.`);
  }
  return { limit: Number(limit), per: formatDuration(parseDuration(per)) };
}

function printLimits(context: Context, limits: readonly FlowLimitRecord[]): void {
  printTable(
    context,
    ["KEY", "AT ONCE", "RATE", "HELD BY", "PAUSED", "CHANGED"],
    limits.map(({ key, concurrency, rate, holders, paused_by, pause_reason, updated_at }) => [
      key,
      concurrency === null ? "-" : `${concurrency}`,
      rate === null ? "-" : `${rate.limit}/${rate.per}`,
      `${holders}`,
      paused_by === null ? "-" : `by ${paused_by}${pause_reason === null ? "" : `: ${pause_reason}`}`,
      updated_at,
    ]),
  );
}
