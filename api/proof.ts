/** What there is at the moment that a workflow is validated. */

import { areConstant, flowKeys, keyLimits } from "../core/flow-limits.ts";
import { placedTasks } from "../core/proof/walk.ts";
import { isForAgents, type World } from "../core/proof/world.ts";
import { splitReference, workflowIn } from "../core/reference.ts";
import { wideKeysFor } from "../core/wide-keys.ts";
import type { Workflow } from "../core/workflow.ts";
import type { Store } from "../store/store.ts";

/** Different workflows that the tasks of one may name and that are looked up. */
const MAX_LOOKED_UP = 100;

/** The agents that are there now, what they say of their capabilities, and which workflows there are. */
export async function worldOf(store: Store, namespace: string, workflow: Workflow): Promise<World> {
  const named = placedTasks(workflow.tasks).flatMap(({ task }) => task.workflow ?? []);
  const [offers, agents, missing, limits] = await Promise.all([
    store.agents.capabilities(namespace),
    store.agents.candidates(namespace),
    missingOf(store, namespace, [...new Set(named)].slice(0, MAX_LOOKED_UP), workflow),
    limitsOf(store, namespace, workflow),
  ]);
  const contracts = offers
    .filter((offer) => offer.agents > 0)
    .map(({ name, version = "1", inputSchema, outputSchema, cost = 0, durationMs = 0 }) => ({
      name,
      version,
      cost,
      durationMs,
      ...(inputSchema && { inputSchema }),
      ...(outputSchema && { outputSchema }),
    }));
  return { contracts, agents, missingWorkflows: missing, limits };
}

/** What is set for the keys that its tasks name, those that are known before it runs, and for those of wholes. */
async function limitsOf(store: Store, namespace: string, { tasks }: Workflow): Promise<World["limits"]> {
  const named = placedTasks(tasks)
    .flatMap(({ task }) => keyLimits(task.concurrency, task.rate))
    .filter((limit) => areConstant([limit]));
  const wide = placedTasks(tasks).flatMap(({ task }) =>
    isForAgents(task) ? wideKeysFor(splitReference(task.capability!).name) : [],
  );
  const keys = [...new Set([...wide, ...flowKeys(named, {})])].slice(0, MAX_LOOKED_UP);
  const found = await Promise.all(keys.map((key) => store.flowLimits.find(namespace, key)));
  return found.flatMap((limit) => (limit ? [limit] : []));
}

/** One may run itself, once it is registered. */
async function missingOf(
  store: Store,
  namespace: string,
  references: readonly string[],
  { name: own }: Workflow,
): Promise<string[]> {
  const found = await Promise.all(
    references.map(async (reference) => {
      const { name, version } = workflowIn(reference);
      if (name === own && version === undefined) return [];
      return (await store.workflows.find(namespace, name, version)) ? [] : [reference];
    }),
  );
  return found.flat();
}
