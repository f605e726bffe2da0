/**
 * Definitions on their way in. Checking takes some 20 µs a task, so the small ones are done at once and large ones on a
 * thread, one after the other: meanwhile claims and heartbeats are answered.
 */
import { setImmediate as breathe } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type ErrorCode, type Issue, SkeinError } from "../../core/errors.ts";
import type { Limits } from "../../core/limits.ts";
import type { ProofOptions } from "../../core/proof/prove.ts";
import { proveText } from "../../core/proof/prove-text.ts";
import type { Validation } from "../../core/protocol/workflows.ts";
import type { TaskSeed } from "../../core/run.ts";
import { seedTasks } from "../../core/seed.ts";
import { parseWorkflow, type Workflow } from "../../core/workflow.ts";
import { type Job, type Prepared, prepare } from "./work.ts";

/** What is larger in either way goes to the thread: at these sizes JSON takes about 50 ms, YAML 200 ms. */
const MAX_TASKS_HERE = 2_000;
const MAX_BYTES_HERE = 256 * 1024;
/** 64 MiB of JSON take about 15 s; what takes longer than this was made to. */
const MAX_WORK_MS = 60_000;
/** Large definitions in hand at a time: one at work, the others waiting. */
const MAX_IN_HAND = 16;

export interface WorkflowFile {
  text: string;
  format: "yaml" | "json";
}

export interface Definitions {
  /** The workflow in a file. Throws what is wrong with it, with line and column. */
  read(file: WorkflowFile): Promise<Workflow>;
  /** What can be told of the workflow in a file before it runs. Throws as `read`. */
  prove(file: WorkflowFile, options: Omit<ProofOptions, "limits">): Promise<Validation>;
  /** An inline definition, made ready for a run; `bytes` is about its size. Throws what is wrong with it. */
  prepare(definition: unknown, bytes: number): Promise<Prepared>;
  /** The tasks of a run of a definition that was checked before. */
  seed(workflow: Workflow): Promise<TaskSeed[]>;
}

/** Beyond `maxInHand` large definitions at a time, all throw RATE_LIMITED. */
export function createDefinitions(limits: Limits, { maxInHand = MAX_IN_HAND } = {}): Definitions {
  let last: Promise<unknown> = Promise.resolve();
  let inHand = 0;

  function onThread(job: Job): Promise<string[]> {
    if (inHand >= maxInHand) {
      throw new SkeinError("RATE_LIMITED", `${maxInHand} large definitions are being checked already; retry shortly.`);
    }
    inHand++;
    const answer = last.then(() => inWorker(job)).finally(() => inHand--);
    last = answer.catch(() => {});
    return answer;
  }

  return {
    read: async ({ text, format }) => {
      if (text.length <= MAX_BYTES_HERE) return parseWorkflow(text, { format, limits });
      const [workflow] = await onThread({ type: "read", text, format, limits });
      return JSON.parse(workflow!) as Workflow;
    },
    prove: async ({ text, format }, options) => {
      const all = { ...options, limits };
      if (text.length <= MAX_BYTES_HERE) return proveText(text, { ...all, format });
      const [proof] = await onThread({ type: "prove", text, format, options: all });
      return JSON.parse(proof!) as Validation;
    },
    prepare: async (definition, bytes) => {
      if (bytes <= MAX_BYTES_HERE) return prepare(definition, limits);
      const [rest, ...pieces] = await onThread({ type: "prepare", text: JSON.stringify(definition), limits });
      return { ...(JSON.parse(rest!) as Omit<Prepared, "tasks">), tasks: await join(pieces) };
    },
    seed: async (workflow) => {
      if (workflow.tasks.length <= MAX_TASKS_HERE) return seedTasks(workflow);
      const [, ...pieces] = await onThread({ type: "seed", text: JSON.stringify(workflow) });
      return join(pieces);
    },
  };
}

async function join(pieces: string[]): Promise<TaskSeed[]> {
  const tasks: TaskSeed[] = [];
  for (const piece of pieces) {
    tasks.push(...(JSON.parse(piece) as TaskSeed[]));
    await breathe();
  }
  return tasks;
}

type Answer = { texts: string[] } | { refusal: { code: ErrorCode; message: string; issues: Issue[] } };

async function inWorker(job: Job): Promise<string[]> {
  const isSource = import.meta.url.endsWith(".ts");
  const worker = new Worker(new URL("./definition.worker.js", import.meta.url), {
    // None of the loaders that the parent may run under.
    execArgv: [],
    workerData: { job, isSource },
  });
  let deadline: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", (error: NodeJS.ErrnoException) => reject(deathOf(error)));
      deadline = setTimeout(() => reject(tooLarge(`takes longer than ${MAX_WORK_MS / 1000} s to check`)), MAX_WORK_MS);
    });
    if ("texts" in answer) return answer.texts;
    const { code, message, issues } = answer.refusal;
    throw new SkeinError(code, message, { issues });
  } finally {
    clearTimeout(deadline);
    void worker.terminate();
  }
}

function deathOf(error: NodeJS.ErrnoException): SkeinError {
  if (error.code === "ERR_WORKER_OUT_OF_MEMORY") return tooLarge("takes more memory to check than there is", error);
  return new SkeinError("INTERNAL", `The thread that checks definitions died: ${error.message}`, { cause: error });
}

function tooLarge(reason: string, cause?: unknown): SkeinError {
  return new SkeinError("WORKFLOW_LIMIT_EXCEEDED", `The definition ${reason}; make it smaller.`, { cause });
}
