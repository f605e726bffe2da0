import { randomUUID } from "node:crypto";
import { type Client, createAgentClient, createClient } from "../../../sdk/client.ts";
import { equal, refused } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

const TASKS = 3;
/** Seconds of a claim that must be given nothing. */
const SHORT_WAIT = 1;

export const wideLimits: Scenario = {
  name: "wide-limits",
  title:
    "A namespace is limited and paused as a whole, and so is a capability; nobody outside notices, or sees what is in it",
  needs: "admin",
  async play({ client, connection, unique, claim, report, signal, step }) {
    step("make a namespace, with a key of its own");
    const namespace = unique.slice(0, 63);
    const scopes = ["runs:read", "runs:write", "work", "admin"] as const;
    const { key, id: keyId } = await client.keys.create({ name: unique, namespace, scopes: [...scopes] });
    const inside = createClient({ ...connection, apiKey: key });
    try {
      const registered = await inside.agents.register({ name: unique, kind: "external", capabilities: [unique] });
      const agent = createAgentClient(connection, registered);
      const nothing = async (what: string) => {
        const { tasks } = await agent.claim({ request_id: randomUUID(), max: TASKS, wait: SHORT_WAIT });
        equal(what, tasks, []);
      };
      const tasks = Array.from({ length: TASKS }, (_, n) => ({ id: `t${n}`, capability: unique }));
      const run = await inside.runs.submit({ definition: { name: "wide-limits", tasks } });
      const why = async () => {
        const { data } = await inside.runs.tasks(run.id, { status: "ready" });
        return (await inside.runs.why(run.id, data[0]!.key)).reasons[0]?.code;
      };

      step("look for it from outside");
      await refused("a look at a run of another namespace", "RUN_NOT_FOUND", client.runs.get(run.id));
      equal("agents of that name", (await agentsCalled(client, unique)).length, 0);

      step("let one task of the namespace run at once, and claim more");
      await inside.limits.set("@namespace", { concurrency: 1 });
      const first = await claim(agent);
      await nothing("what is given out beyond the limit of the namespace");
      equal("why another does not start", await why(), "limit_reached");

      step("pause the capability, take the limit away, and report");
      const capability = `@capability:${unique}`;
      equal("who has paused it", (await inside.limits.pause(capability, "lunch")).pause_reason, "lunch");
      await inside.limits.remove("@namespace");
      equal("the answer to the report", await report(agent, completed(first, 1)), "accepted");
      await nothing("what is given out while the capability is paused");
      equal("why another does not start", await why(), "paused");

      step("resume it, and do the rest");
      await inside.limits.resume(capability);
      for (let n = 1; n < TASKS; n++) await report(agent, completed(await claim(agent), n));
      const story: string[] = [];
      for await (const { type } of inside.runs.events(run.id, undefined, signal)) story.push(type);
      equal("how its story ends", story.at(-1), "run.completed");
      await agent.leave();
    } finally {
      await inside.keys.revoke(keyId);
    }
  },
};

async function agentsCalled(client: Client, name: string) {
  return (await client.agents.list({ limit: 100 })).data.filter((agent) => agent.name === name);
}
