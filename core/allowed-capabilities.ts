/** Which capabilities a key lets its runs use, and what a definition would use of others. */

import type { Issue } from "./errors.ts";
import { didYouMean } from "./near-miss.ts";
import { nameIn } from "./reference.ts";
import type { TaskDefinition } from "./workflow-schema.ts";

/** Names, and beginnings of names such as `news.*`; null: all. */
export type AllowedCapabilities = readonly string[] | null;

/** A name as a task writes it, perhaps with a range of versions: `news.lead@^2`. */
export function isAllowed(capability: string, allowed: AllowedCapabilities): boolean {
  if (allowed === null) return true;
  const name = nameIn(capability);
  return allowed.some((one) => (one.endsWith(".*") ? name.startsWith(one.slice(0, -1)) : one === name));
}

/** What the tasks would use beyond what is allowed, wherever in them: also in loops, beside others, and to undo them. */
export function forbiddenCapabilities(
  tasks: readonly TaskDefinition[],
  allowed: AllowedCapabilities,
  pointer = "/tasks",
): Issue[] {
  if (allowed === null) return [];
  return usedCapabilities(tasks, pointer)
    .filter((used) => !isAllowed(used.capability, allowed))
    .map((used) => {
      const name = nameIn(used.capability);
      const near = didYouMean(
        name,
        allowed.filter((one) => !one.endsWith(".*")),
      );
      return {
        code: "CAPABILITY_NOT_ALLOWED",
        message: `Task "${used.task}" uses ${name}, which the key does not allow; it allows ${allowed.join(", ") || "none"}.${near}`,
        pointer: used.pointer,
      };
    });
}

interface Use {
  task: string;
  capability: string;
  pointer: string;
}

/** Wherever in the tasks, in the order of the definition. Bodies of loops are nested as deep as definitions may be. */
export function usedCapabilities(tasks: readonly TaskDefinition[], pointer: string): Use[] {
  return tasks.flatMap((task, index) => {
    const at = `${pointer}/${index}`;
    const use = (capability: string | undefined, where: string): Use[] =>
      capability === undefined ? [] : [{ task: task.id, capability, pointer: `${at}/${where}` }];
    return [
      ...use(task.capability, "capability"),
      ...(task.requires ?? []).flatMap((one, n) => use(one, `requires/${n}`)),
      ...use(task.compensate?.capability, "compensate/capability"),
      ...(task.loop ? usedCapabilities(task.loop.body, `${at}/loop/body`) : []),
    ];
  });
}
