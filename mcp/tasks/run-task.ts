/** A run as a task of the extension io.modelcontextprotocol/tasks (SEP-2663). */
import type { CallToolResult, InputRequests } from "@modelcontextprotocol/server";
import { isTerminalRun } from "../../core/run.ts";
import { type RunSummary, runLine } from "../run-summary.ts";

/** Types, not interfaces, so that they can stand where any result is asked for. */
type Task = {
  taskId: string;
  status: "working" | "input_required" | "completed" | "failed" | "cancelled";
  statusMessage: string;
  createdAt: string;
  lastUpdatedAt: string;
  ttlMs: number | null;
  pollIntervalMs: number;
};

export type DetailedTask = Task & {
  inputRequests?: InputRequests;
  /** As it would stand on the wire, where the SDK adds its type. */
  result?: CallToolResult & { resultType: "complete" };
  error?: { code: number; message: string; data: { code: string } };
};

/** Runs are kept, so a task never runs out; a second between two looks is often enough. */
const POLL_INTERVAL_MS = 1_000;
/** JSON-RPC 2.0. */
const INTERNAL_ERROR = -32_603;

/** What a submit answers with instead of its result. The run is stored, so asking for the task finds it. */
export function createdTask(run: RunSummary) {
  return { resultType: "task" as const, ...taskOf(run, "working") };
}

/** A run that has not ended: at work, or waiting for answers that only the client's user can give. */
export function openTask(run: RunSummary, questions: InputRequests): DetailedTask {
  const isAsking = Object.keys(questions).length > 0;
  return isAsking ? { ...taskOf(run, "input_required"), inputRequests: questions } : taskOf(run, "working");
}

/**
 * A run that has ended; `result` is what the tool that started it would have answered then. A run that failed is a result,
 * too, as every tool's error is: `failed` is for errors of the server itself.
 */
export function endedTask(run: RunSummary, result: CallToolResult): DetailedTask {
  if (run.status === "cancelled") return taskOf(run, "cancelled");
  if (run.error?.code !== "INTERNAL")
    return { ...taskOf(run, "completed"), result: { resultType: "complete", ...result } };
  const { code, message } = run.error;
  return { ...taskOf(run, "failed"), error: { code: INTERNAL_ERROR, message, data: { code } } };
}

function taskOf(run: RunSummary, status: Task["status"]): Task {
  return {
    taskId: run.id,
    status,
    statusMessage: runLine(run),
    createdAt: run.created_at,
    lastUpdatedAt: (isTerminalRun(run.status) ? run.finished_at : run.started_at) ?? run.created_at,
    ttlMs: null,
    pollIntervalMs: POLL_INTERVAL_MS,
  };
}
