/** What an experiment leaves behind: raw data, plots, event logs and the report, each read back as a reader would. */
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { protocolNames } from "../conversation/state.ts";
import type { LoggedTrial } from "./event-log.ts";
import { parseExperiment } from "./experiment.ts";
import { ocelOf } from "./ocel.ts";
import { ocelSchema } from "./ocel-schema.suite.ts";
import { plot, shortNumber, ticksTo } from "./plot.ts";
import { cellsCsv, jsonLines, trialsCsv } from "./raw-data.ts";
import { estimateText, plotPath, reportOf, runPath } from "./report.ts";
import { measureNames, measures, summarize } from "./summary.ts";
import { simulate, type TrialResult } from "./trial.ts";
import { isLogged, trialsOf } from "./trials.ts";
import { xesOf } from "./xes.ts";
import { readXml, type XmlElement } from "./xml.suite.ts";

/** Names and texts that would break out of any of the formats, were they let. */
const hostile = ['a"b', "<script>", "x,y", "=1+1", "| p |", "`code`"];

const experiment = parseExperiment(
  JSON.stringify({
    name: "outputs",
    notes: "Look at **this**.",
    question: 'Who "leads" <us>, & why | where?',
    options: hostile,
    terms: { turn_deadline: "1s", deadline: "10s" },
    team: { members: hostile.map((name) => ({ name, behaviour: "debater" })) },
    faults: { rough: { loss: 0.2, duplication: 0.1, members: [{ count: 1, kind: "late" }] } },
    matrix: {
      protocol: protocolNames,
      policy: { gossip: [{}, { fanout: 2 }] },
      faults: ["none", "rough"],
      repetitions: 3,
    },
  }),
);
const results: TrialResult[] = [];
const logged: LoggedTrial[] = [];
for (const trial of trialsOf(experiment)) {
  const { result, transcript } = simulate(trial);
  results.push(result);
  if (isLogged(trial)) logged.push({ cell: trial.cell, result, transcript });
}
const summaries = summarize(experiment.cells, results);
const cellCount = (protocolNames.length + 1) * 2;

describe("raw data", () => {
  it("has a line of JSON for each trial, which is read back as it was", () => {
    const lines = jsonLines(results).split("\n");
    expect(lines.pop()).toBe("");
    expect(lines.map((line) => JSON.parse(line))).toEqual(results);
    expect(lines).toHaveLength(cellCount * 3);
  });

  it("has the same as CSV, quoted where it has to be, and no formulas", () => {
    const rows = readCsv(trialsCsv(results));
    expect(rows[0]).toEqual(Object.keys(results[0]!));
    expect(rows).toHaveLength(results.length + 1);
    for (const [index, result] of results.entries()) {
      const row = rows[index + 1]!;
      expect(row).toHaveLength(rows[0]!.length);
      expect(row[rows[0]!.indexOf("messages")]).toBe(String(result.messages));
      expect(row[rows[0]!.indexOf("failing")]!.replace(/^'/, "")).toBe(
        result.failing.map(({ member, kind }) => `${member}:${kind}`).join(" "),
      );
    }
    expect(trialsCsv(results)).not.toMatch(/[,\n]"?[=@+]/);
    expect(trialsCsv([])).toBe("");
  });

  it("has the means of each cell as CSV", () => {
    const rows = readCsv(cellsCsv(summaries));
    expect(rows).toHaveLength(1 + cellCount * measureNames.length);
    const mean = summaries[3]!.estimates.latency!.mean;
    const row = rows.find(([cell, , , , , measure]) => cell === "4" && measure === "latency")!;
    expect(Number(row[7])).toBeCloseTo(mean, 4);
  });
});

/** RFC 4180. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)!.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    if (end === "\r\n") rows.push([]);
  }
  expect(rows.pop()).toEqual([]);
  return rows;
}

describe("summaries", () => {
  it("count what the results say, cell by cell", () => {
    for (const { cell, count, estimates } of summaries) {
      const own = results.filter((result) => result.cell === cell.number);
      expect(count).toBe(3);
      const mean = own.reduce((sum, { messages }) => sum + messages, 0) / 3;
      expect(estimates.messages!.mean).toBeCloseTo(mean, 10);
      expect(estimates.success!.mean).toBe(own.filter(({ success }) => success).length / 3);
    }
  });

  it("leave out what nobody can say", () => {
    const none = results.slice(0, 2).map((result) => ({ ...result, cell: 1, agreement: null }));
    expect(summarize(experiment.cells.slice(0, 1), none)[0]!.estimates.agreement).toBeNull();
    expect(estimateText(null, measures.agreement)).toBe("–");
  });

  it.each([
    [{ count: 1, mean: 12.34, low: null, high: null }, "messages", "12.3"],
    [{ count: 9, mean: 12.34, low: 11.34, high: 13.34 }, "messages", "12.3 ± 1.0"],
    [{ count: 9, mean: 1, low: 0.7, high: 1 }, "success", "1.000 (0.700–1.000)"],
  ] as const)("are written as %j", (estimate, measure, text) => {
    expect(estimateText(estimate, measures[measure])).toBe(text);
  });
});

describe("plots", () => {
  it.each(measureNames)("of %s are well-formed, and have a point for each cell", (name) => {
    const svg = plot(name, summaries);
    const root = readXml(svg);
    expect(root.name).toBe("svg");
    const points = all(root, "g").filter(({ children }) => children[0]?.name === "title");
    expect(points).toHaveLength(summaries.filter(({ estimates }) => estimates[name]).length);
    expect(plot(name, summaries)).toBe(svg);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("keep everything inside their borders", () => {
    for (const name of measureNames) {
      const root = readXml(plot(name, summaries));
      const [width, height] = [Number(root.attributes.width), Number(root.attributes.height)];
      for (const { attributes } of all(root, "text")) {
        expect(Number(attributes.x)).toBeLessThan(width);
        expect(Number(attributes.y)).toBeLessThan(height);
      }
    }
  });

  it("say what each axis is of, and of how many conversations a point is the mean", () => {
    for (const name of measureNames) {
      const texts = all(readXml(plot(name, summaries)), "text");
      const upright = texts.filter(({ attributes }) => attributes.transform?.includes("rotate(-90)"));
      expect(upright.map(({ text }) => text)).toEqual([measures[name].axis]);
      expect(texts.some(({ text }) => text === "team size")).toBe(true);
      expect(texts.some(({ text }) => text.includes(`interval of ${summaries[0]!.count} conversations`))).toBe(true);
    }
  });

  it("put a mean where it belongs on the axis", () => {
    const [first] = summaries;
    const at = (mean: number) => {
      const estimates = { ...first!.estimates, agreement: { count: 2, mean, low: null, high: null } };
      const circle = all(readXml(plot("agreement", [{ ...first!, estimates }])), "circle")[0]!;
      return Number(circle.attributes.cy);
    };
    const [none, half, full] = [at(0), at(0.5), at(1)];
    expect(none - half).toBeCloseTo(half - full, 6);
    expect(none - full).toBe(220);
  });

  it.each([
    [0, [0, 1]],
    [1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [4.7, [0, 1, 2, 3, 4, 5]],
    [37, [0, 10, 20, 30, 40]],
    [1_234, [0, 250, 500, 750, 1_000, 1_250]],
    [0.03, [0, 0.01, 0.02, 0.03]],
  ])("have round ticks up to %d", (highest, ticks) => {
    expect(ticksTo(highest)).toEqual(ticks);
  });

  it.each([
    [0, "0"],
    [0.25, "0.25"],
    [1_250, "1250"],
    [12_500, "12.5k"],
    [3_000_000, "3M"],
  ])("write %d as %s", (value, text) => {
    expect(shortNumber(value)).toBe(text);
  });
});

interface OcelLog {
  eventTypes: { name: string; attributes: { name: string; type: string }[] }[];
  objectTypes: { name: string; attributes: { name: string; type: string }[] }[];
  events: { id: string; type: string; time: string; attributes: OcelValue[]; relationships: OcelLink[] }[];
  objects: { id: string; type: string; attributes: OcelValue[]; relationships?: OcelLink[] }[];
}
type OcelValue = { name: string; value: string };
type OcelLink = { objectId: string; qualifier: string };

describe("OCEL", () => {
  const text = ocelOf(logged);
  const log = JSON.parse(text) as OcelLog;

  it("fits the JSON Schema of the specification", () => {
    const ajv = new Ajv({ strict: false, allErrors: true });
    addFormats.default(ajv);
    const isValid = ajv.compile(ocelSchema);
    expect(isValid(log) || isValid.errors).toBe(true);
    // The schema does refuse what is not a log.
    expect(isValid({ ...log, events: [{ id: 1 }] })).toBe(false);
    expect(isValid(JSON.parse(ocelOf([])))).toBe(true);
  });

  it("uses the types that it declares, with their attributes; and knows what it relates", () => {
    const kinds = ["string", "time", "integer", "float", "boolean"];
    const declared = (types: OcelLog["eventTypes"]) =>
      new Map(types.map(({ name, attributes }) => [name, new Map(attributes.map((one) => [one.name, one.type]))]));
    const [eventTypes, objectTypes] = [declared(log.eventTypes), declared(log.objectTypes)];
    const ids = new Set(log.objects.map(({ id }) => id));
    expect(ids.size).toBe(log.objects.length);
    expect(new Set(log.events.map(({ id }) => id)).size).toBe(log.events.length);
    for (const type of [...eventTypes.values(), ...objectTypes.values()]) {
      for (const kind of type.values()) expect(kinds).toContain(kind);
    }
    const check = (type: ReadonlyMap<string, string> | undefined, attributes: readonly OcelValue[]) => {
      for (const { name, value } of attributes) {
        expect(type?.get(name)).toBeDefined();
        if (type!.get(name) === "integer") expect(value).toMatch(/^-?\d+$/);
      }
    };
    for (const { type, attributes, relationships } of log.events) {
      check(eventTypes.get(type), attributes);
      for (const { objectId } of relationships) expect(ids).toContain(objectId);
    }
    for (const { type, attributes, relationships = [] } of log.objects) {
      check(objectTypes.get(type), attributes);
      for (const { objectId } of relationships) expect(ids).toContain(objectId);
    }
  });

  it("has an event for each entry of the transcripts, in their order, related to its conversation and members", () => {
    expect(log.events).toHaveLength(logged.reduce((sum, { transcript }) => sum + transcript.length, 0));
    expect(log.objects).toHaveLength(cellCount * (1 + hostile.length));
    const vote = log.events.find(({ type }) => type === "vote")!;
    expect(vote.relationships[0]!.qualifier).toBe("in");
    expect(vote.relationships.map(({ qualifier }) => qualifier)).toContain("said by");
    const call = log.events.find(({ type }) => type === "call")!;
    expect(call.relationships.map(({ qualifier }) => qualifier)).toContain("said to");
  });
});

describe("XES", () => {
  const root = readXml(xesOf("outputs", logged));

  it("has the elements of its schema, in the order of its schema", () => {
    expect(root.name).toBe("log");
    // xs:decimal, and the only attribute that is required.
    expect(root.attributes["xes.version"]).toBe("1849.2016");
    const order = ["extension", "global", "classifier", "string", "trace"];
    const names = root.children.map(({ name }) => order.indexOf(name));
    expect(names).toEqual(names.toSorted());
    expect(names).not.toContain(-1);
    for (const trace of all(root, "trace")) {
      const kinds = trace.children.map(({ name }) => name);
      expect(kinds.lastIndexOf("string")).toBeLessThan(kinds.indexOf("event"));
    }
  });

  it("has attributes of its types, with keys that are names, and values of their types", () => {
    const patterns: Record<string, RegExp> = {
      string: /^/,
      date: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
      int: /^-?\d+$/,
    };
    const attributes = [...all(root, "trace"), ...all(root, "event"), ...all(root, "global")].flatMap(({ children }) =>
      children.filter(({ name }) => name !== "event"),
    );
    expect(attributes.length).toBeGreaterThan(1_000);
    for (const { name, attributes: given } of attributes) {
      expect(Object.keys(given)).toEqual(["key", "value"]);
      expect(given.key).toMatch(/^[A-Za-z_:][\w:.-]*$/);
      expect(given.value).toMatch(patterns[name]!);
    }
  });

  it("has what its globals promise in every trace and event, and declares the prefixes that it uses", () => {
    const keysOf = ({ children }: XmlElement) => children.map(({ attributes }) => attributes.key!);
    for (const global of root.children.filter(({ name }) => name === "global")) {
      for (const element of all(root, global.attributes.scope!)) {
        expect(keysOf(element)).toEqual(expect.arrayContaining(keysOf(global)));
      }
    }
    const prefixes = new Set(
      root.children.filter(({ name }) => name === "extension").map(({ attributes }) => attributes.prefix),
    );
    for (const key of all(root, "event").flatMap(keysOf)) {
      if (key.includes(":")) expect(prefixes).toContain(key.split(":")[0]);
    }
  });

  it("has a trace for each conversation, with the texts as they were", () => {
    expect(all(root, "trace")).toHaveLength(cellCount);
    expect(all(root, "event")).toHaveLength(logged.reduce((sum, { transcript }) => sum + transcript.length, 0));
    const resources = all(root, "event").flatMap(({ children }) =>
      children.filter(({ attributes }) => attributes.key === "org:resource").map(({ attributes }) => attributes.value),
    );
    expect(new Set(resources)).toEqual(new Set(["conversation", ...hostile]));
  });
});

function all(element: XmlElement, name: string): XmlElement[] {
  return [...(element.name === name ? [element] : []), ...element.children.flatMap((child) => all(child, name))];
}

describe("the report", () => {
  const report = reportOf({
    experiment,
    summaries,
    command: "skein experiment run outputs.yaml",
    version: "1.2.3",
    fileHash: "ab12",
    clock: "On a virtual clock.",
  });

  it("says how it was made, and what is to be seen", () => {
    for (const part of [
      "```bash\nskein experiment run outputs.yaml\n```",
      "Skein 1.2.3; seed 1; 66 conversations, 3 in each of 22 cells. On a virtual clock.",
      "SHA-256 `ab12`",
      "## What is to be seen\n\nLook at **this**.",
    ]) {
      expect(report).toContain(part);
    }
  });

  it("has a row for each cell, whatever is in its texts", () => {
    const rows = report.split("\n").filter((line) => line.startsWith("|"));
    expect(rows).toHaveLength(cellCount + 2);
    for (const row of rows) expect(row.split("|")).toHaveLength(2 + 6 + measureNames.length);
    expect(report).not.toContain("<us>");
  });

  it("shows every plot, and a run of each cell", () => {
    for (const name of measureNames) expect(report).toContain(`](${plotPath(name)})`);
    for (const cell of experiment.cells) expect(report).toContain(`](${runPath(cell)}.svg)`);
    expect(new Set(experiment.cells.map(runPath)).size).toBe(cellCount);
  });
});
