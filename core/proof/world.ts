/** What is known of the world that a workflow would run in, at the moment of asking. All of it may change. */

import { protocolOf } from "../conversation-task.ts";
import { HUMAN_TASK } from "../human-task.ts";
import type { JsonObject } from "../json.ts";
import { splitReference } from "../reference.ts";
import { type Candidate, fits } from "../routing.ts";
import type { TaskDefinition } from "../workflow-schema.ts";
import { anything, either, type Type, typeOfSchema } from "./type.ts";
import type { SetLimit } from "./waiting.ts";

/** A version of a capability, as agents registered it that are there. */
export interface Contract {
  name: string;
  version: string;
  inputSchema?: JsonObject;
  outputSchema?: JsonObject;
  /** What a task costs. */
  cost: number;
  /** How long a task takes, about; 0: nobody said. */
  durationMs: number;
}

export interface World {
  contracts: Contract[];
  agents: Candidate[];
  /** Workflows that tasks name, and that are not registered, as they name them. */
  missingWorkflows: string[];
  /** What the namespace has set for keys that the workflow names. */
  limits: SetLimit[];
}

/** Whether an agent does it: some capabilities are the engine's own. */
export function isForAgents({ capability }: Pick<TaskDefinition, "capability">): boolean {
  return capability !== undefined && capability !== HUMAN_TASK && protocolOf(capability) === undefined;
}

/** The contracts that a task of this capability may be done under. */
export function contractsFor(world: World | undefined, capability: string): Contract[] {
  const { name, version: range } = splitReference(capability);
  return (world?.contracts ?? []).filter(
    (one) => one.name === name && (range === undefined || fits(one.version, range)),
  );
}

/** The types of what capabilities take and give, worked out once each. */
export function contractTypes(world: World | undefined) {
  const known = new Map<string, Type>();
  const typeOf = (capability: string, side: "inputSchema" | "outputSchema"): Type => {
    const key = `${side} ${capability}`;
    let type = known.get(key);
    if (!type) {
      const schemas = contractsFor(world, capability).map((contract) => contract[side]);
      // Who takes or gives anything in one version may do so in this.
      const isSaid = schemas.length > 0 && schemas.every((schema) => schema !== undefined);
      const types = isSaid ? schemas.map(typeOfSchema) : [anything];
      type = { ...types.reduce(either), ...(isSaid && { by: `"${splitReference(capability).name}"` }) };
      known.set(key, type);
    }
    return type;
  };
  return {
    given: (task: TaskDefinition) => (isForAgents(task) ? typeOf(task.capability!, "outputSchema") : anything),
    taken: (task: TaskDefinition) => (isForAgents(task) ? typeOf(task.capability!, "inputSchema") : anything),
  };
}
