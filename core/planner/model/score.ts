/** How near a plan is to another one, as TaskBench measures it: by its tools, and by which feeds which. */
import { nameIn } from "../../reference.ts";
import type { Workflow } from "../../workflow.ts";

export interface PlanScore {
  /** Of the capabilities; from 0 to 1, the same. */
  nodeF1: number;
  /** Of pairs of capabilities, of which the second takes what the first gives. 1 where neither plan has any. */
  edgeF1: number;
}

/** Undefined, no plan at all, scores nothing. */
export function scorePlan(plan: Workflow | undefined, reference: Workflow): PlanScore {
  if (!plan) return { nodeF1: 0, edgeF1: 0 };
  return {
    nodeF1: f1(nodesOf(plan), nodesOf(reference)),
    edgeF1: f1(edgesOf(plan), edgesOf(reference)),
  };
}

function nodesOf({ tasks }: Workflow): string[] {
  return tasks.map(nameOf);
}

function edgesOf({ tasks }: Workflow): string[] {
  const names = new Map(tasks.map((task) => [task.id, nameOf(task)]));
  return tasks.flatMap((task) => (task.needs ?? []).map((need) => `${names.get(need)} → ${nameOf(task)}`));
}

function nameOf({ capability = "" }: Workflow["tasks"][number]): string {
  return nameIn(capability);
}

/** Of two bags: what is there twice counts twice. */
function f1(got: readonly string[], wanted: readonly string[]): number {
  if (got.length === 0 && wanted.length === 0) return 1;
  const left = [...wanted];
  let hits = 0;
  for (const one of got) {
    const at = left.indexOf(one);
    if (at < 0) continue;
    left.splice(at, 1);
    hits += 1;
  }
  return (2 * hits) / (got.length + wanted.length);
}
