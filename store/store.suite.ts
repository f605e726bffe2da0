/** What the store means, on whatever database it runs. Each test has a namespace of its own; none leaves a violation. */
import { afterAll, afterEach, beforeAll, describe, expect } from "vitest";
import { agentDataCases } from "./suite/agent-data.ts";
import { agentCases } from "./suite/agents.ts";
import { artifactCases } from "./suite/artifacts.ts";
import { auditCases } from "./suite/audit.ts";
import { bidCases } from "./suite/bids.ts";
import { budgetCases } from "./suite/budgets.ts";
import { cacheCases } from "./suite/cache.ts";
import { cancelCases } from "./suite/cancel.ts";
import { cascadeCases } from "./suite/cascades.ts";
import { claimCases } from "./suite/claims.ts";
import { conversationCases } from "./suite/conversations.ts";
import { deadLetterCases } from "./suite/dead-letters.ts";
import { deadlineCases } from "./suite/deadlines.ts";
import { dispatchCases } from "./suite/dispatch.ts";
import { engineCases } from "./suite/engine-tasks.ts";
import { eventCases } from "./suite/events.ts";
import { fairnessCases } from "./suite/fairness.ts";
import { finishCases } from "./suite/finish.ts";
import { flowLimitCases } from "./suite/flow-limits.ts";
import { goalPlanCases } from "./suite/goal-plans.ts";
import { heartbeatCases } from "./suite/heartbeats.ts";
import { historyCases } from "./suite/history.ts";
import { inputCases } from "./suite/inputs.ts";
import { joinCases } from "./suite/joins.ts";
import { keyCases } from "./suite/keys.ts";
import { largePartCases } from "./suite/large-parts.ts";
import { leaseCases } from "./suite/leases.ts";
import { listingCases } from "./suite/listings.ts";
import { messageCases } from "./suite/messages.ts";
import { misbehaviourCases } from "./suite/misbehaviour.ts";
import { namespaceCases } from "./suite/namespaces.ts";
import { patchCases } from "./suite/patch.ts";
import { pauseCases } from "./suite/pause.ts";
import { payloadCases } from "./suite/payloads.ts";
import { registryCases } from "./suite/registry.ts";
import { replanCases } from "./suite/replans.ts";
import { reportCases } from "./suite/reports.ts";
import { rerunCases } from "./suite/reruns.ts";
import { retryCases } from "./suite/retries.ts";
import { routingCases } from "./suite/routing.ts";
import { scheduleCases } from "./suite/schedules.ts";
import { sharedMemoryCases } from "./suite/shared-memory.ts";
import { submitCases } from "./suite/submit.ts";
import { newTeam, type OpenStore, type Team, type TestStore } from "./suite/team.ts";
import { upkeepCases } from "./suite/upkeep.ts";
import { whyCases } from "./suite/why.ts";
import { wideLimitCases } from "./suite/wide-limits.ts";
import { workflowCases } from "./suite/workflows.ts";

/** A namespace with an agent in it that offers the capabilities; default `work`. */
export type OpenTeam = (capabilities?: string[]) => Promise<Team>;

const cases: Record<string, (open: OpenTeam) => void> = {
  workflows: workflowCases,
  schedules: scheduleCases,
  "dead letters": deadLetterCases,
  submit: submitCases,
  dispatch: dispatchCases,
  claim: claimCases,
  "whose turn it is": fairnessCases,
  "a task for one agent": routingCases,
  "a task for the lowest bid": bidCases,
  limits: flowLimitCases,
  "limits of whole capabilities and namespaces": wideLimitCases,
  "inputs of tasks": inputCases,
  heartbeat: heartbeatCases,
  report: reportCases,
  retry: retryCases,
  "lost leases": leaseCases,
  "dependants and cascades": cascadeCases,
  "a join": joinCases,
  "a task that the engine does itself": engineCases,
  pause: pauseCases,
  budgets: budgetCases,
  "a patch of the graph": patchCases,
  "planning anew": replanCases,
  "a conversation": conversationCases,
  "a conversation whose members misbehave,": misbehaviourCases,
  why: whyCases,
  "the end of a run": finishCases,
  cancel: cancelCases,
  "a retry or fork of a run": rerunCases,
  "deadlines and unroutable tasks": deadlineCases,
  "redispatch and prune": upkeepCases,
  artifacts: artifactCases,
  "large payloads": payloadCases,
  "large items, signals and constants": largePartCases,
  "the cache of outputs": cacheCases,
  agents: agentCases,
  "what agents keep and tell each other": agentDataCases,
  messages: messageCases,
  "shared memory": sharedMemoryCases,
  "the registry": registryCases,
  keys: keyCases,
  "plans for goals": goalPlanCases,
  events: eventCases,
  listings: listingCases,
  history: historyCases,
  namespaces: namespaceCases,
  audit: auditCases,
};

/**
 * The audit after each test looks at everything that the tests before have left: after all of them it took half a second. Some
 * of it has to be there, because a statement that forgets its namespace is found by what others have left.
 */
const TESTS_BETWEEN_CLEANINGS = 20;

export function storeSuite({ name, open }: { name: string; open: OpenStore }): void {
  describe(`the store on ${name}`, () => {
    let opened: TestStore;
    let done = 0;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());
    afterEach(async () => {
      expect(await opened.store.audit()).toEqual([]);
      done += 1;
      if (done % TESTS_BETWEEN_CLEANINGS === 0) return forgetAll(opened.sql);
      // What a test left running must not run out while a later one counts what was taken back, and what it left open must not
      // be overdue when the suite has gone on for long.
      for (const later of [
        "update task set lease_expires_at = now() + interval '1 day' where status = 'running'",
        "update task set available_at = now() + interval '1 day' where status = 'ready'",
        // Not a statement of ours, whose plan would be looked at.
        "/* the suite's */ update run set created_at = now() + interval '1 day' where finished_at is null",
      ]) {
        await opened.sql.query(later);
      }
    });
    for (const [noun, define] of Object.entries(cases)) {
      describe(noun, () => define((capabilities) => newTeam(opened, capabilities)));
    }
  });
}

/** Empties every table but the one of the migrations. */
async function forgetAll(sql: TestStore["sql"]): Promise<void> {
  const tables = await sql.query<{ name: string }>(
    `/* the suite's */ select quote_ident(tablename) as name from pg_tables
     where schemaname = current_schema() and tablename <> 'skein_migration'`,
  );
  await sql.query(`truncate ${tables.map(({ name }) => name).join(", ")}`);
}
