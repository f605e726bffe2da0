/**
 * Where capabilities disagree on what the values of a semantic type look like (a text for one, a list for another), the type
 * falls apart: a field that takes only some kinds of JSON then takes a type of its own, which those give that can.
 */
import { fieldKinds, jsonKinds, type PlannableCapability } from "./capability.ts";
import type { Goal } from "./goal.ts";

export interface Kinds {
  /** The name of the type that the field takes: that of its semantic type, unless that has fallen apart. */
  taken(capability: PlannableCapability, field: string): string;
  /** The names of all types that a value is of. */
  given(type: string, kinds: ReadonlySet<string> | undefined): string[];
}

/** Types have no spaces in their names, so these are none that anybody could declare. */
const named = (type: string, kinds: ReadonlySet<string>) => `${type} (as ${[...kinds].sort().join(" or ")})`;

/** The semantic type of a name. */
export function semanticOf(name: string): string {
  const space = name.indexOf(" ");
  return space === -1 ? name : name.slice(0, space);
}

export function kindsIn(goal: Goal, capabilities: readonly PlannableCapability[]): Kinds {
  const takes = new Map<string, Map<string, ReadonlySet<string>>>();
  for (const { consumes, inputSchema } of capabilities) {
    for (const [field, type] of Object.entries(consumes)) {
      const kinds = fieldKinds(inputSchema, field);
      if (!kinds) continue;
      const known = takes.get(type) ?? new Map<string, ReadonlySet<string>>();
      takes.set(type, known.set(named(type, kinds), kinds));
    }
  }
  const apart = new Set<string>();
  const compare = (type: string, kinds: ReadonlySet<string> | undefined) => {
    for (const wanted of takes.get(type)?.values() ?? []) if (!overlap(wanted, kinds)) apart.add(type);
  };
  for (const { produces, outputSchema } of capabilities) {
    for (const [field, type] of Object.entries(produces)) compare(type, fieldKinds(outputSchema, field));
  }
  for (const held of Object.values(goal.have)) compare(held.type, kindsOf(held));
  return {
    taken({ consumes, inputSchema }, field) {
      const type = consumes[field]!;
      const kinds = apart.has(type) ? fieldKinds(inputSchema, field) : undefined;
      return kinds ? named(type, kinds) : type;
    },
    given(type, kinds) {
      const classes = apart.has(type) ? [...(takes.get(type) ?? [])] : [];
      return [type, ...classes.filter(([, wanted]) => overlap(wanted, kinds)).map(([name]) => name)];
    },
  };
}

/** Of something that a goal has; undefined: of any kind. */
export function kindsOf({ value, schema }: Goal["have"][string]): ReadonlySet<string> | undefined {
  if (value === undefined) return jsonKinds(schema);
  if (value === null) return new Set(["null"]);
  return new Set([Array.isArray(value) ? "array" : typeof value]);
}

function overlap(wanted: ReadonlySet<string>, kinds: ReadonlySet<string> | undefined): boolean {
  return kinds === undefined || [...kinds].some((kind) => wanted.has(kind));
}
