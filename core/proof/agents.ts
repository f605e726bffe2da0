/** Whether the agents that are there now can run the tasks, and whether the workflows that tasks run are registered. */
import { nearest } from "../near-miss.ts";
import { nameIn } from "../reference.ts";
import { misfits, nearestMatch, type RouteSpec } from "../routing.ts";
import { wholeRoute } from "../seed.ts";
import { type Finding, warning } from "./finding.ts";
import type { Placed } from "./walk.ts";
import { isForAgents, type World } from "./world.ts";

export function unroutable(tasks: readonly Placed[], world: World): Finding[] {
  const verdicts = new Map<string, string | undefined>();
  const verdictOn = (route: RouteSpec) => {
    const key = JSON.stringify(route);
    if (!verdicts.has(key)) verdicts.set(key, whyNobody(route, world));
    return verdicts.get(key);
  };
  return tasks.flatMap(({ task, at }): Finding[] => {
    const findings: Finding[] = [];
    const look = (route: RouteSpec, pointer: string, what: string) => {
      const why = verdictOn(route);
      if (why !== undefined) findings.push(warning("CAPABILITY_NOT_OFFERED", `${what}: ${why}`, pointer));
    };
    if (isForAgents(task)) look(wholeRoute(task), `${at}/capability`, `Nobody who is there can run task "${task.id}"`);
    if (task.compensate) {
      const route = { capabilities: [{ name: nameIn(task.compensate.capability) }] };
      look(route, `${at}/compensate/capability`, `Nobody who is there can undo task "${task.id}"`);
    }
    if (task.workflow !== undefined && world.missingWorkflows.includes(task.workflow)) {
      const message = `Task "${task.id}" runs the workflow ${task.workflow}, which is not registered; register it before.`;
      findings.push(warning("WORKFLOW_NOT_FOUND", message, `${at}/workflow`));
    }
    return findings;
  });
}

function whyNobody(route: RouteSpec, { agents }: World): string | undefined {
  if (agents.some((agent) => misfits(route, agent).length === 0)) return undefined;
  const offered = new Set(agents.flatMap(({ capabilities }) => capabilities.map(({ name }) => name)));
  const missing = route.capabilities.find(({ name }) => !offered.has(name));
  if (missing) {
    const near = nearest(missing.name, offered);
    const hint = near === undefined ? "" : ` The nearest that is offered is ${near}.`;
    return `no agent offers ${missing.name}. Start an executor that does.${hint}`;
  }
  const { agent, lacks } = nearestMatch(route, agents)!;
  return `the nearest, ${agent.name}, ${lacks.join(", and ")}. Start an agent that fits, or ask for less.`;
}
