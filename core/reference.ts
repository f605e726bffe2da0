/** References such as `llm.generate@^2` and `report@3`: a name, and after an `@` which versions of it. */

/** `version` is undefined where the reference is the name alone. */
export function splitReference(reference: string): { name: string; version: string | undefined } {
  const [name, version] = reference.split("@") as [string, string | undefined];
  return { name, version };
}

/** The name alone. */
export function nameIn(reference: string): string {
  return splitReference(reference).name;
}

/** Of a workflow by `name` or `name@3`, which a schema has checked; without a number it is the newest. */
export function workflowIn(reference: string): { name: string; version: number | undefined } {
  const { name, version } = splitReference(reference);
  return { name, version: version === undefined ? undefined : Number(version) };
}
