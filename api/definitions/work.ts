/** What is to be done with definitions, as plain computation: small ones are done in place, large ones on a thread. */
import type { Limits } from "../../core/limits.ts";
import type { ProofOptions } from "../../core/proof/prove.ts";
import { proveText } from "../../core/proof/prove-text.ts";
import type { TaskSeed } from "../../core/run.ts";
import { seedTasks } from "../../core/seed.ts";
import { parseWorkflow, validateWorkflow, type Workflow, workflowHash } from "../../core/workflow.ts";

export type Job =
  /** A workflow file. */
  | { type: "read"; text: string; format: "yaml" | "json"; limits: Limits }
  /** A workflow file, looked at before it runs. */
  | { type: "prove"; text: string; format: "yaml" | "json"; options: ProofOptions }
  /** The JSON text of an inline definition, for a run. */
  | { type: "prepare"; text: string; limits: Limits }
  /** The JSON text of a definition that was checked before, for a run. */
  | { type: "seed"; text: string };

export interface Prepared {
  /** Without its version, which is no part of the content. */
  workflow: Workflow;
  hash: string;
  tasks: TaskSeed[];
}

export function prepare(definition: unknown, limits: Limits): Prepared {
  const { version: _, ...workflow } = validateWorkflow(definition, { limits });
  return { workflow, hash: workflowHash(workflow), tasks: seedTasks(workflow) };
}

/** Tasks in one piece of an answer: few enough that parsing one holds nothing up. */
const PIECE = 2_000;

/**
 * The answer to a job as JSON texts, which cross between threads five times as fast as objects: first what there is
 * beside tasks, then the tasks in pieces. Throws the SkeinError that the job ends in.
 */
export function perform(job: Job): string[] {
  switch (job.type) {
    case "read":
      return [JSON.stringify(parseWorkflow(job.text, job))];
    case "prove":
      return [JSON.stringify(proveText(job.text, { ...job.options, format: job.format }))];
    case "prepare": {
      const { tasks, ...rest } = prepare(JSON.parse(job.text), job.limits);
      return [JSON.stringify(rest), ...pieces(tasks)];
    }
    case "seed":
      return ["null", ...pieces(seedTasks(JSON.parse(job.text)))];
  }
}

function pieces(tasks: TaskSeed[]): string[] {
  const texts: string[] = [];
  for (let start = 0; start < tasks.length; start += PIECE)
    texts.push(JSON.stringify(tasks.slice(start, start + PIECE)));
  return texts;
}
