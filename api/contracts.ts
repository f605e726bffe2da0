/** Whether what agents report is what they registered to give. */
import { setImmediate as breathe } from "node:timers/promises";
import { boundedCache } from "../core/bounded-cache.ts";
import { brokenContract, type ContractFlaw } from "../core/contract.ts";
import { type Failure, failureKinds } from "../core/errors.ts";
import { readLeaseToken } from "../core/lease-token.ts";
import type { ReportItem } from "../core/protocol/tasks.ts";
import { compileSchema, type Validator } from "../core/schema.ts";
import type { AgentIdentity, AgentStore } from "../store/store.ts";

export interface Contracts {
  /**
   * How the output of a success breaks the schema that its agent registered, or all of them where it offers several versions:
   * then it is told of the last. Undefined: it does not, or there is none.
   */
  outputFlaw(agent: AgentIdentity, item: ReportItem): Promise<Failure | undefined>;
}

/** Characters of schema kept compiled; compiled, a schema takes ten to fifty times its text. */
const MAX_CACHED_CHARACTERS = 1024 * 1024;

/** After a check that took longer others come first: a report may hold a thousand outputs. */
const LONG_CHECK_MS = 5;

/**
 * The lease token says which capability the output is of, and the agent's identity which schema: so a report costs no
 * statement, but one for the first of each schema. Schemas are known by the hash of what they say, so they never change.
 */
export function createContracts(agents: Pick<AgentStore, "outputSchema">): Contracts {
  const validators = boundedCache<Validator>(MAX_CACHED_CHARACTERS);

  async function validatorOf(namespace: string, hash: string): Promise<Validator | undefined> {
    const known = validators.find(hash);
    if (known) return known;
    const schema = await agents.outputSchema(namespace, hash);
    return schema && validators.get(hash, () => compileSchema(schema), JSON.stringify(schema).length);
  }

  return {
    async outputFlaw({ namespace, outputSchemas }, { outcome, output = null, lease_token }) {
      const { capability } = readLeaseToken(lease_token);
      if (outcome !== "completed" || !Object.hasOwn(outputSchemas, capability)) return undefined;
      let problems: ContractFlaw[] = [];
      for (const hash of outputSchemas[capability]!) {
        const validator = await validatorOf(namespace, hash);
        const startedAt = performance.now();
        problems = validator?.findProblems(output) ?? [];
        if (performance.now() - startedAt > LONG_CHECK_MS) await breathe();
        if (problems.length === 0) return undefined;
      }
      const message = brokenContract("output", capability, problems);
      return { code: failureKinds.outputInvalid, message, retryable: false };
    },
  };
}
