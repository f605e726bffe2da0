/**
 * The extension io.modelcontextprotocol/tasks (SEP-2663) over runs: a client that knows it gets a task where a tool starts a
 * run, and follows it with tasks/get, tasks/update and tasks/cancel. A task's id is its run's, so nothing is kept here.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  type InputRequests,
  inputRequired,
  type McpServer,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { uuid } from "../../core/protocol/common.ts";
import type { RunBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import type { Client } from "../../sdk/client.ts";
import { protocolError } from "../protocol-error.ts";
import { endedRun } from "../run-outcome.ts";
import { approvalsIn } from "./approvals.ts";
import { type Decision, decisionOf, questionOf } from "./question.ts";
import { type DetailedTask, endedTask, openTask } from "./run-task.ts";

export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";
export const requiredCapabilities: ClientCapabilities = { extensions: { [TASKS_EXTENSION]: {} } };

const params = z.looseObject({ taskId: z.string() });
const result = z.looseObject({});
/** How a request about one task is checked. */
export const aboutTask = { params, result };

type Request = ServerContext["mcpReq"];

export function offerTasks(server: McpServer, client: Client): void {
  server.server.registerCapabilities({ extensions: { [TASKS_EXTENSION]: {} } });
  const rpc = server.server;

  rpc.setRequestHandler("tasks/get", aboutTask, ({ taskId }, { mcpReq }) => taskNow(client, taskId, mcpReq));

  rpc.setRequestHandler("tasks/update", aboutTask, async ({ taskId }, { mcpReq }) => {
    const run = await runOf(client, taskId, mcpReq);
    const asking = isTerminalRun(run.status) ? [] : await approvalsIn(client, run);
    // What was answered meanwhile, or never asked, is left out, as the protocol says.
    for (const { task, approval } of asking) {
      const decision = decide(approval, mcpReq.inputResponses?.[task.id]);
      if (decision) await tell(client, task, decision);
    }
    return {};
  });

  rpc.setRequestHandler("tasks/cancel", aboutTask, async ({ taskId }, { mcpReq }) => {
    await runOf(client, taskId, mcpReq);
    await client.runs.cancel(taskId, "cancelled by an MCP client").catch((error) => {
      // It has ended, which is what a cancel is for.
      if (!(error instanceof SkeinError) || error.code !== "RUN_ALREADY_FINISHED") throw protocolError(error);
    });
    return {};
  });
}

export async function taskNow(client: Client, taskId: string, request: Request): Promise<DetailedTask> {
  return taskOfRun(client, await runOf(client, taskId, request), declared(request));
}

/** How the run stands, as a task of a client that can do this. */
export async function taskOfRun(
  client: Client,
  run: RunBody,
  { elicitation }: ClientCapabilities,
): Promise<DetailedTask> {
  if (isTerminalRun(run.status)) return endedTask(run, await endedRun(client, run));
  return openTask(run, takesForms(elicitation) ? await questionsIn(client, run) : {});
}

/** Whether the client may be answered with a task. */
export function knowsTasks(request: Request): boolean {
  return declared(request).extensions?.[TASKS_EXTENSION] !== undefined;
}

/** A client that only opens pages for its user names that alone; one that says nothing more takes forms. */
export function takesForms(elicitation: ClientCapabilities["elicitation"]): boolean {
  return elicitation !== undefined && (elicitation.form !== undefined || Object.keys(elicitation).length === 0);
}

/** What the client can do, as 2026-07-28 says it with every request. */
export function declared({ envelope }: Request): ClientCapabilities {
  return ({ ...envelope } as Record<string, ClientCapabilities | undefined>)[CLIENT_CAPABILITIES_META_KEY] ?? {};
}

async function runOf(client: Client, taskId: string, request: Request): Promise<RunBody> {
  if (!knowsTasks(request)) throw new MissingRequiredClientCapabilityError({ requiredCapabilities });
  if (!uuid.safeParse(taskId).success) throw unknownTask(taskId);
  return client.runs.get(taskId).catch((error) => {
    if (error instanceof SkeinError && error.code === "RUN_NOT_FOUND") throw unknownTask(taskId);
    throw protocolError(error);
  });
}

function unknownTask(taskId: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no task ${taskId.slice(0, 100)}.`);
}

async function questionsIn(client: Client, run: RunBody): Promise<InputRequests> {
  const asking = await approvalsIn(client, run);
  return Object.fromEntries(
    asking.map(({ workflow, task, approval }) => [
      task.id,
      inputRequired.elicit(questionOf(workflow, task.key, approval)),
    ]),
  );
}

function decide(approval: JsonObject, answer: unknown): Decision | undefined {
  try {
    return decisionOf(approval, answer);
  } catch (error) {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, (error as Error).message);
  }
}

async function tell(
  client: Client,
  { run_id, id }: TaskDetailBody,
  { approved, ...decision }: Decision,
): Promise<void> {
  const told = approved ? client.runs.approve(run_id, id, decision) : client.runs.reject(run_id, id, decision);
  await told.catch((error) => {
    // Somebody else was faster: the client sees it when it asks for the task.
    const isLate = error instanceof SkeinError && ["TASK_ALREADY_DECIDED", "TASK_NOT_WAITING"].includes(error.code);
    if (!isLate) throw protocolError(error);
  });
}
