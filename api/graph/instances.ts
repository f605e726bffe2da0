interface Related {
  key: string;
  needs: string[];
  group?: string;
}

/**
 * Gives tasks that came from another task the edges a reader expects, where the view names none: an instance
 * (`read[7]`) needs what its container needs, and the container, which completes with its last instance, needs them;
 * a spawned task (`plan/a`) needs its parent. Returns the same array when there is nothing to add.
 */
export function joinInstances<T extends Related>(tasks: T[]): T[] {
  const byKey = new Map(tasks.map((task) => [task.key, task]));
  const members = tasks.filter(
    ({ key, group, needs }) => group !== undefined && group !== key && byKey.has(group) && !needs.includes(group),
  );
  if (members.length === 0) return tasks;

  const needed = new Set(members.flatMap(({ needs }) => needs));
  const lastInstances = new Map<string, string[]>();
  const ownNeeds = new Map<string, string[]>();
  for (const { key, needs, group = "" } of members) {
    const isInstance = key.startsWith(`${group}[`);
    if (needs.length === 0) ownNeeds.set(key, isInstance ? (byKey.get(group)?.needs ?? []) : [group]);
    if (!isInstance || needed.has(key)) continue;
    const siblings = lastInstances.get(group);
    if (siblings) siblings.push(key);
    else lastInstances.set(group, [key]);
  }
  return tasks.map((task) => ({ ...task, needs: lastInstances.get(task.key) ?? ownNeeds.get(task.key) ?? task.needs }));
}
