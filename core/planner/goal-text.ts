/** A goal in one line, for people: `web.url, question:text -> document.summary`. */
import { SkeinError } from "../errors.ts";
import { type Goal, readGoal } from "./goal.ts";

/**
 * What there is, an arrow, what is wanted; each a type, or `name:type`. Without a name a value has that of its type: its last
 * part. `more` are the other keys of the goal. Throws GOAL_INVALID.
 */
export function parseGoalText(text: string, more: Record<string, unknown> = {}): Goal {
  const sides = text.split("->");
  if (sides.length !== 2) {
    throw new SkeinError(
      "GOAL_INVALID",
      `"${text.slice(0, 200)}" is not a goal: write what there is, an arrow, and what is wanted, by their types, such as "web.url -> document.summary"; words alone only the planner \`llm\` reads.`,
    );
  }
  const [have, want] = sides.map(namedTypes) as [Map<string, string>, Map<string, string>];
  return readGoal({
    have: Object.fromEntries([...have].map(([name, type]) => [name, { type }])),
    want: Object.fromEntries(want),
    ...more,
  });
}

/** A goal as lists show it: in its own words, else by its types. */
export function goalLine(goal: {
  text: string | null;
  have: Record<string, string>;
  want: Record<string, string>;
}): string {
  const types = (named: Record<string, string>) => Object.values(named).join(", ");
  return goal.text ?? `${types(goal.have)} -> ${types(goal.want)}`.trim();
}

function namedTypes(side: string): Map<string, string> {
  const named = new Map<string, string>();
  for (const word of side.split(/[\s,]+/).filter((one) => one !== "")) {
    const colon = word.indexOf(":");
    const type = word.slice(colon + 1);
    const name = colon === -1 ? type.slice(type.lastIndexOf(".") + 1) : word.slice(0, colon);
    let free = name;
    for (let number = 2; named.has(free); number++) free = `${name}_${number}`;
    named.set(free, type);
  }
  return named;
}
