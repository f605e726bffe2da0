/**
 * OCEL 2.0 as JSON (Berti and others, "OCEL (Object-Centric Event Log) 2.0 Specification", 2024, section 8): what was said as
 * events, conversations and members as objects. By its JSON Schema all values are texts; types say how to read them.
 */
import { caseOf, type Happening, happeningsOf, type LoggedTrial } from "./event-log.ts";
import { EPOCH } from "./trial.ts";

type Attribute = { name: string; value: string };
type Relationship = { objectId: string; qualifier: string };

const eventAttributes = [
  { name: "seq", type: "integer" },
  { name: "round", type: "integer" },
  { name: "content", type: "string" },
  { name: "misbehaviour", type: "string" },
];

const objectTypes = [
  {
    name: "conversation",
    attributes: [
      { name: "protocol", type: "string" },
      { name: "policy", type: "string" },
      { name: "team_size", type: "integer" },
      { name: "faults", type: "string" },
      { name: "seed", type: "integer" },
      { name: "repetition", type: "integer" },
      { name: "status", type: "string" },
    ],
  },
  {
    name: "member",
    attributes: [
      { name: "name", type: "string" },
      { name: "behaviour", type: "string" },
      { name: "role", type: "string" },
    ],
  },
];

/** The log of all the trials, one event or object a line. */
export function ocelOf(trials: readonly LoggedTrial[]): string {
  const events = trials.flatMap((trial) => happeningsOf(trial.transcript).map((one) => eventOf(trial, one)));
  const types = [...new Set(events.map(({ type }) => type))].sort();
  const eventTypes = types.map((name) => ({ name, attributes: eventAttributes }));
  const parts = [
    `"objectTypes":${listOf(objectTypes)}`,
    `"eventTypes":${listOf(eventTypes)}`,
    `"objects":${listOf(trials.flatMap(objectsOf))}`,
    `"events":${listOf(events)}`,
  ];
  return `{\n${parts.join(",\n")}\n}\n`;
}

function listOf(items: readonly unknown[]): string {
  return items.length === 0 ? "[]" : `[\n${items.map((item) => JSON.stringify(item)).join(",\n")}\n]`;
}

function eventOf(trial: LoggedTrial, happening: Happening) {
  const { activity, time, seq, by, to, round, content, misbehaviour } = happening;
  const known = new Set(trial.cell.team.map(({ name }) => name));
  const related = (names: readonly (string | null)[], qualifier: string): Relationship[] =>
    names.flatMap((name) => (name !== null && known.has(name) ? [{ objectId: memberId(trial, name), qualifier }] : []));
  return {
    id: `${caseOf(trial)}/${seq}`,
    type: activity,
    time,
    attributes: attributesOf({ seq, round, content, misbehaviour }),
    relationships: [
      { objectId: caseOf(trial), qualifier: "in" },
      ...related([by], misbehaviour === "silent" ? "silence of" : "said by"),
      ...related(to, "said to"),
    ],
  };
}

function objectsOf(trial: LoggedTrial) {
  const { cell, result } = trial;
  const time = new Date(EPOCH).toISOString();
  const timed = (values: Record<string, string | number | null>) =>
    attributesOf(values).map((attribute) => ({ ...attribute, time }));
  const { protocol, policy, team_size, faults, seed, repetition, status } = result;
  const members = cell.team.map(({ name, behaviour, role }) => ({
    id: memberId(trial, name),
    type: "member",
    attributes: timed({ name, behaviour: behaviourIn(trial, name) ?? behaviour.name, role }),
  }));
  const conversation = {
    id: caseOf(trial),
    type: "conversation",
    attributes: timed({ protocol, policy, team_size, faults, seed, repetition, status }),
    relationships: members.map(({ id }) => ({ objectId: id, qualifier: "member" })),
  };
  return [conversation, ...members];
}

function behaviourIn({ result }: LoggedTrial, name: string): string | undefined {
  return result.failing.find(({ member }) => member === name)?.kind;
}

/** Two conversations have members of the same name, but not the same members. */
function memberId(trial: LoggedTrial, name: string): string {
  return `${caseOf(trial)}/${name}`;
}

function attributesOf(values: Record<string, string | number | null>): Attribute[] {
  return Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [{ name, value: String(value) }]));
}
