/** What is wrong with the limits that a definition sets: what they mean nothing for, and how it could wait for itself. */
import { checkTemplate } from "./binding.ts";
import { type Issue, SkeinError } from "./errors.ts";
import type { ExpressionScope } from "./expression.ts";
import { areConstant, flowKeys } from "./flow-limits.ts";
import { isJsonObject, pointerTo } from "./json.ts";
import { nameIn } from "./reference.ts";
import { isReservedKey, reservedKeyMessage } from "./wide-keys.ts";

/** Kinds of tasks that last until their children have settled. */
const containers = ["loop", "workflow"];

/**
 * A key is held by what an agent runs, and by nothing that waits: a loop that held one while its tasks need it would wait for
 * ever. So a limit stands at the tasks that do the work; a map hands it to each of its items.
 */
export function wrongLimit(raw: Record<string, unknown>, id: string, at: string, kind: string): Issue[] {
  if (raw.concurrency === undefined || kind === "capability") return [];
  const pointer = pointerTo(at, "concurrency");
  if (!containers.includes(kind)) {
    const message = `Task "${id}" has \`concurrency\`, which means nothing beside \`${kind}\`; remove it.`;
    return [{ code: "WORKFLOW_INVALID", message, pointer }];
  }
  const instead =
    kind === "loop" ? "Put it at the tasks of its body." : "Give the workflow that it runs a `concurrency` of its own.";
  const message = `Task "${id}" would hold its \`concurrency\` while what it waits for may need it, and so could wait for ever. ${instead}`;
  return [{ code: "WORKFLOW_LIMIT_DEADLOCK", message, pointer }];
}

/** What is wrong with the template of a key. */
export function wrongKey(key: string, scope: ExpressionScope, pointer: string): Issue[] {
  if (isReservedKey(key)) return [{ code: "FLOW_KEY_RESERVED", message: reservedKeyMessage(key), pointer }];
  const issues = checkTemplate(key, scope, pointer);
  return issues.length > 0 || !areConstant([{ key }]) ? issues : wrongText(key, pointer);
}

/** What stands there from the start, and is no key. */
function wrongText(key: string, pointer: string): Issue[] {
  try {
    flowKeys([{ key }], {});
    return [];
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return [{ code: error.code, message: error.message, pointer }];
  }
}

/** Names that are known when a run is submitted. */
const submitNames: ExpressionScope["names"] = new Set(["inputs", "run"]);

/** Of the limits of a whole workflow. */
export function wrongRunLimit(value: unknown): Issue[] {
  if (!isJsonObject(value)) return [];
  const scope = { taskIds: new Set<string>(), needs: new Set<string>(), names: submitNames };
  const issues = (["concurrency", "rate"] as const).flatMap((name) => {
    const limit = value[name];
    return isJsonObject(limit) && typeof limit.key === "string" ? wrongKey(limit.key, scope, `/${name}/key`) : [];
  });
  if (!isJsonObject(value.concurrency)) return issues;
  if (typeof value.name !== "string" || !Array.isArray(value.tasks)) return issues;
  return [...issues, ...awaitsItself(value.name, value.tasks, "/tasks")];
}

/** Its run would hold a place while it waits for another run that needs one. */
function awaitsItself(name: string, tasks: readonly unknown[], pointer: string): Issue[] {
  return tasks.flatMap((raw, index): Issue[] => {
    if (!isJsonObject(raw)) return [];
    const at = pointerTo(pointer, String(index));
    const { workflow, detached, loop } = raw;
    if (isJsonObject(loop) && Array.isArray(loop.body)) return awaitsItself(name, loop.body, `${at}/loop/body`);
    if (typeof workflow !== "string" || nameIn(workflow) !== name || detached === true) return [];
    const message = `Task "${String(raw.id)}" waits for another run of "${name}", whose \`concurrency\` this run holds meanwhile, so both could wait for ever. Remove the \`concurrency\`, or start that run with \`detached: true\`.`;
    return [{ code: "WORKFLOW_LIMIT_DEADLOCK", message, pointer: pointerTo(at, "workflow") }];
  });
}
