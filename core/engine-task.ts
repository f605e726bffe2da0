/** Tasks that the engine does itself, instead of handing them to an agent. Each waits until its step has been done. */
import type { ConversationSpec } from "./conversation-task.ts";
import type { LoopSpec } from "./loop.ts";
import type { MapSpec } from "./map.ts";
import type { WaitSpec } from "./wait.ts";

/** Ends the run; the message is the task's input. */
export interface TerminateSpec {
  kind: "terminate";
  status: "completed" | "failed" | "cancelled";
}

/** Cancels the open tasks of these ids and groups. */
export interface CancelSpec {
  kind: "cancel";
  targets: string[];
}

/** Submits a registered workflow as a run of its own, with the task's input as its inputs. */
export interface WorkflowSpec {
  kind: "workflow";
  name: string;
  /** Null: the newest when it starts. */
  version: number | null;
  isDetached: boolean;
}

export type EngineSpec = ConversationSpec | WaitSpec | TerminateSpec | CancelSpec | WorkflowSpec | MapSpec | LoopSpec;

/** Whether tasks of this kind have children, in this run or as another. */
export function hasChildren({ kind }: EngineSpec): boolean {
  return kind === "map" || kind === "loop" || kind === "workflow";
}

/** Runs within runs, at most. */
export const MAX_RUN_DEPTH = 16;

/** Keys of a task that mean nothing where no agent takes it: how it is handed to one, tried again, undone and paid for. */
export const agentKeys = [
  "retry",
  "heartbeat",
  "schedule_timeout",
  "requires",
  "labels",
  "prefer",
  "sticky",
  "agent",
  "compensate",
  "budget",
  "estimate",
  "cache",
  "concurrency",
  "rate",
];
