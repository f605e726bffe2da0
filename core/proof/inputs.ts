/** Whether what is written for a task's input could be what its capability takes. */
import { pointerTo } from "../json.ts";
import { didYouMean } from "../near-miss.ts";
import type { TaskDefinition } from "../workflow-schema.ts";
import type { TypedTask } from "./expressions.ts";
import { type Finding, warning } from "./finding.ts";
import { anything, describeType, mapOf, only, overlaps, type Type } from "./type.ts";

export function misfitInputs(task: TaskDefinition, at: string, typed: TypedTask | undefined, taken: Type): Finding[] {
  if (task.capability === undefined) return [];
  const isOwn = typed?.input !== undefined;
  const given = typed?.input ?? defaultInput(task);
  const pointer = isOwn ? `${at}/input` : `${at}/capability`;
  return misfits(given, taken, { what: "input", pointer, isOwn }).map(({ message, pointer }) =>
    warning("INPUT_MISFIT", `Task "${task.id}": ${message}`, pointer),
  );
}

/** contract.md §1: what a task gets that has no `input`. */
function defaultInput({ for_each, needs = [] }: TaskDefinition): Type {
  const inputs: [string, Type] = ["inputs", anything];
  if (for_each !== undefined) return mapOf(new Map([["item", anything], ["index", only("number")], inputs]));
  return mapOf(new Map([inputs, ["needs", mapOf(new Map(needs.map((id) => [id, anything])))]]));
}

interface Place {
  what: string;
  pointer: string;
  /** Whether it is written in the workflow. */
  isOwn: boolean;
}

interface Misfit {
  message: string;
  pointer: string;
}

function misfits(given: Type, taken: Type, place: Place): Misfit[] {
  const { what, pointer, isOwn } = place;
  if (!overlaps(given, taken)) {
    return [
      { message: `its ${what} is ${describeType(given)}, and ${taken.by} takes ${describeType(taken)}.`, pointer },
    ];
  }
  const isMap = given.kinds.size === 1 && given.kinds.has("map") && taken.kinds.has("map");
  if (!isMap || !given.isClosed) return [];
  const names = [...given.fields!.keys()];
  const lacking = [...(taken.required ?? [])].filter((name) => !given.fields!.has(name));
  const unknown = taken.isClosed ? names.filter((name) => !taken.fields!.has(name)) : [];
  const origin = isOwn ? "" : ", which is what a task gets that has no `input`";
  return [
    ...lacking.map((name) => ({
      message: `its ${what} has no "${name}", which ${taken.by} needs${origin}; add it.${didYouMean(name, unknown)}`,
      pointer,
    })),
    ...unknown.map((name) => ({
      message: `its ${what} has a field "${name}", which ${taken.by} does not take${origin}.${didYouMean(name, taken.fields!.keys())}`,
      pointer: isOwn ? pointerTo(pointer, name) : pointer,
    })),
    ...names.flatMap((name) => {
      const field = taken.fields?.get(name);
      if (!field || !isOwn) return [];
      const inside = {
        what: `\`${what === "input" ? name : `${what}.${name}`}\``,
        pointer: pointerTo(pointer, name),
        isOwn,
      };
      return misfits(given.fields!.get(name)!, { ...field, by: taken.by! }, inside);
    }),
  ];
}
