/** XES (IEEE 1849-2016) as XML: a trace for each conversation, an event for each entry of its transcript. */
import { escapeXml } from "../label-text.ts";
import { caseOf, type Happening, happeningsOf, type LoggedTrial } from "./event-log.ts";

const extensions = [
  ["Concept", "concept", "http://www.xes-standard.org/concept.xesext"],
  ["Time", "time", "http://www.xes-standard.org/time.xesext"],
  ["Lifecycle", "lifecycle", "http://www.xes-standard.org/lifecycle.xesext"],
  ["Organizational", "org", "http://www.xes-standard.org/org.xesext"],
] as const;

/** The conversation itself is a resource, too. */
const CONVERSATION = "conversation";

export function xesOf(name: string, trials: readonly LoggedTrial[]): string {
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<log xes.version="1849.2016" xes.features="">',
    ...extensions.map(([title, prefix, uri]) => `  <extension name="${title}" prefix="${prefix}" uri="${uri}"/>`),
    '  <global scope="trace">',
    `    ${string("concept:name", "")}`,
    "  </global>",
    '  <global scope="event">',
    `    ${string("concept:name", "")}`,
    `    ${date("time:timestamp", new Date(0).toISOString())}`,
    `    ${string("lifecycle:transition", "complete")}`,
    `    ${string("org:resource", CONVERSATION)}`,
    "  </global>",
    '  <classifier name="Activity" scope="event" keys="concept:name"/>',
    '  <classifier name="Resource" scope="event" keys="org:resource"/>',
    `  ${string("concept:name", name)}`,
    `  ${string("lifecycle:model", "standard")}`,
    ...trials.flatMap(traceOf),
    "</log>",
    "",
  ].join("\n");
}

function traceOf(trial: LoggedTrial): string[] {
  const { protocol, policy, team_size, faults, seed, repetition, status } = trial.result;
  return [
    "  <trace>",
    ...[
      string("concept:name", caseOf(trial)),
      string("protocol", protocol),
      string("policy", policy),
      int("team_size", team_size),
      string("faults", faults),
      int("seed", seed),
      int("repetition", repetition),
      string("status", status),
    ].map((line) => `    ${line}`),
    ...happeningsOf(trial.transcript).map(eventOf),
    "  </trace>",
  ];
}

function eventOf({ activity, time, seq, by, to, round, content, misbehaviour }: Happening): string {
  return [
    "    <event>",
    string("concept:name", activity),
    date("time:timestamp", time),
    string("lifecycle:transition", "complete"),
    string("org:resource", by ?? CONVERSATION),
    int("seq", seq),
    round === null ? "" : int("round", round),
    to.length === 0 ? "" : string("to", to.join(" ")),
    content === null ? "" : string("content", content),
    misbehaviour === null ? "" : string("misbehaviour", misbehaviour),
    "</event>",
  ].join("");
}

function string(key: string, value: string): string {
  return `<string key="${key}" value="${escapeXml(value)}"/>`;
}

function int(key: string, value: number): string {
  return `<int key="${key}" value="${value}"/>`;
}

function date(key: string, value: string): string {
  return `<date key="${key}" value="${value}"/>`;
}
