/** Waiting for a run, and saying meanwhile how far it has come. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";
import type { RunBody } from "../core/protocol/runs.ts";
import { isTerminalRun } from "../core/run.ts";
import type { Client } from "../sdk/client.ts";
import type { ToolContext } from "./tool.ts";

const LOOK_AGAIN_MS = 250;

export const waitSeconds = (preset: number) =>
  z
    .number()
    .min(0)
    .max(MAX_WAIT_SECONDS)
    .default(preset)
    .describe("How long to wait for the run to finish; ask for progress notifications to hear of it meanwhile");

/** Resolves with the run when it has finished, when `isEnough`, or when the time is over. */
export async function watchRun(
  client: Client,
  id: string,
  { signal, progress, seconds, isEnough }: Watch,
): Promise<RunBody> {
  const until = Date.now() + seconds * 1000;
  // A client may rely on progress that only ever grows.
  for (let told = -1; ; ) {
    const run = await client.runs.get(id);
    const settled = settledTasks(run);
    if (settled > told) {
      await progress(settled, run.task_count, `Run ${run.status}: ${settled} of ${run.task_count} tasks settled`);
      told = settled;
    }
    if (isTerminalRun(run.status) || Date.now() >= until || (await isEnough?.(run))) return run;
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}

interface Watch extends Pick<ToolContext, "signal" | "progress"> {
  seconds: number;
  isEnough?: ((run: RunBody) => Promise<boolean>) | undefined;
}

function settledTasks({ counts }: RunBody): number {
  const { completed = 0, failed = 0, skipped = 0, cancelled = 0 } = counts;
  return completed + failed + skipped + cancelled;
}
