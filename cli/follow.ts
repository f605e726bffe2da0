/** Follows a run to its end and shows it: a live picture on a terminal, otherwise a line for each event. */

import { treeRows } from "../core/dag-tree.ts";
import type { Client } from "../sdk/client.ts";
import { type Context, isLive, paintFor } from "./context.ts";
import { eventLine } from "./event-line.ts";
import { drawFrame } from "./frame.ts";
import { startLiveView } from "./live-view.ts";
import { visible } from "./output.ts";
import { applyEvent, beginProgress, type Held, type Progress, type RunGraph } from "./progress.ts";
import { watchReasons } from "./reasons.ts";

export interface FollowOptions {
  /** Stops the following, not the run. */
  signal?: AbortSignal;
  /** What the keyboard does meanwhile. */
  hint?: string;
  /** With `--json`: write each event as a line of JSON. Default: no events, the picture on stderr if that is a terminal. */
  jsonEvents?: boolean;
}

/** The progress at the end of the run, or when `signal` was aborted. */
export async function followRun(
  context: Context,
  client: Client,
  runId: string,
  options: FollowOptions = {},
): Promise<Progress> {
  const graph = JSON.parse(await client.runs.graph(runId, "json")) as RunGraph;
  const progress = beginProgress(graph);
  const { show, close, tellHeld } = viewOf(context, progress, options);
  const over = new AbortController();
  const watching = watchReasons(client, progress, { signal: over.signal, tell: tellHeld });
  try {
    for await (const event of client.runs.events(runId, undefined, options.signal)) {
      applyEvent(progress, event, Date.now());
      show?.(event);
    }
    over.abort();
    // Of no use any more; but a system of our own is about to stop, and would complain of a question left open.
    await watching;
  } catch (error) {
    if (!options.signal?.aborted) throw error;
  } finally {
    over.abort();
    close();
  }
  return progress;
}

type Event = Parameters<typeof eventLine>[0];

interface View {
  show?: (event: Event) => void;
  /** Why a task does not start, where no picture shows it. */
  tellHeld?: (held: Held) => void;
  close(): void;
}

function viewOf(context: Context, progress: Progress, { hint, jsonEvents }: FollowOptions): View {
  const { stdout, stderr, env, json } = context;
  const stream = json ? stderr : stdout;
  if (!jsonEvents && isLive(stream, env)) return liveView(context, stream, progress, hint);
  if (json && !jsonEvents) return { close() {} };
  const line = (event: Event) => (json ? JSON.stringify(event) : eventLine(event, progress));
  return {
    show: (event) => stdout.write(`${line(event)}\n`),
    // Events are for programs, too; this is for whoever looks on.
    tellHeld: ({ task, message }) => context.note(visible(`Task ${task} waits. ${message}`)),
    close() {},
  };
}

function liveView(context: Context, stream: Context["stdout"], progress: Progress, hint: string | undefined): View {
  const paint = paintFor(stream, context.env);
  let tree = treeOf(progress);
  let isClosing = false;
  const view = startLiveView(stream, (size, tick) => {
    if (tree.length < progress.tasks.size) tree = treeOf(progress);
    return drawFrame(progress, tree, {
      ...size,
      tick,
      paint,
      nowMs: Date.now(),
      ...(hint && !isClosing && { hint }),
    });
  });
  const { note } = context;
  context.note = view.note;
  return {
    close: () => {
      isClosing = true;
      context.note = note;
      view.stop();
    },
  };
}

function treeOf(progress: Progress) {
  return treeRows([...progress.tasks.values()].map(({ key, needs }) => ({ id: key, needs })));
}
