/** The testing agent: plays its scenarios against a deployment that is already there, through the REST API and `/mcp` alone. */
import { SkeinError } from "../../core/errors.ts";
import { type ClientOptions, createClient } from "../../sdk/client.ts";
import {
  listJson,
  listLines,
  progressLine,
  reportJson,
  reportOf,
  resultLines,
  summaryLine,
  type TestReport,
} from "./report.ts";
import { newPlayId, play, type Scenario, type ScenarioResult } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

export interface TestingAgentOptions {
  url: string;
  /** Needs the scopes runs:read, runs:write, work, memory and messages; without a key against `skein dev` on this machine. */
  apiKey?: string;
  /** Names of the scenarios to play, in which `*` stands for anything; default all. */
  only?: readonly string[];
  /** One JSON document instead of a table. */
  json?: boolean;
  /** Takes the report, line by line. */
  log: (line: string) => void;
  /** Takes a line about what goes on, each in the place of the one before; undefined when there is nothing to say. */
  progress?: (line: string | undefined) => void;
  /** Ends it: what is being played has failed then, and is swept; the rest is not played. */
  interrupt?: AbortSignal;
}

/** Most of them wait most of the time. */
const PLAYED_AT_ONCE = 6;

/**
 * Resolves with what passed and what failed. What the scenarios leave behind is history: finished runs with the label
 * `skein-test`, agents that have left. Rejects with SERVER_UNREACHABLE when nobody answers at `url`, and with
 * REQUEST_INVALID when `only` names a scenario that does not exist.
 */
export async function runTestingAgent(options: TestingAgentOptions): Promise<TestReport> {
  const { url, apiKey, only, json = false, log, progress = () => {}, interrupt } = options;
  const chosen = choose(only);
  const connection = { url, ...(apiKey !== undefined && { apiKey }) };
  await requireAnswer(connection);
  const results = await playAll(chosen, connection, {
    onResult: (result) => {
      progress(undefined);
      if (!json) for (const line of resultLines(result)) log(line);
    },
    progress,
    ...(interrupt && { interrupt }),
  });
  const report = reportOf(results);
  log(json ? reportJson(url, report) : summaryLine(url, report));
  return report;
}

export { reportJunit } from "./report.ts";

/** Says which scenarios there are; nobody is asked. */
export function listScenarios({ only, json, log }: Pick<TestingAgentOptions, "only" | "json" | "log">): void {
  const chosen = choose(only);
  for (const line of json ? [listJson(chosen)] : listLines(chosen)) log(line);
}

interface Told {
  /** In the order of the scenarios. */
  onResult: (result: ScenarioResult) => void;
  progress: (line: string | undefined) => void;
  interrupt?: AbortSignal;
}

/** Several at once, those first that may take longest. */
async function playAll(
  chosen: readonly Scenario[],
  connection: ClientOptions,
  { onResult, progress, interrupt }: Told,
): Promise<ScenarioResult[]> {
  const playId = newPlayId();
  const results = new Map<Scenario, ScenarioResult>();
  const playing = new Map<string, string>();
  const queue = [...chosen].sort((a, b) => (b.deadlineMs ?? 0) - (a.deadlineMs ?? 0));
  let told = 0;
  const tell = () => progress(progressLine(results.size, chosen.length, playing));
  const tellResults = () => {
    for (let next = results.get(chosen[told]!); next; next = results.get(chosen[++told]!)) onResult(next);
  };
  const player = async () => {
    for (let scenario = queue.shift(); scenario && !interrupt?.aborted; scenario = queue.shift()) {
      const { name } = scenario;
      const onStep = (what: string) => {
        playing.set(name, what);
        tell();
      };
      results.set(scenario, await play(scenario, connection, { playId, onStep, ...(interrupt && { interrupt }) }));
      playing.delete(name);
      tellResults();
      tell();
    }
  };
  await Promise.all(Array.from({ length: PLAYED_AT_ONCE }, player));
  progress(undefined);
  const played = chosen.filter((scenario) => results.has(scenario)).map((scenario) => results.get(scenario)!);
  // Those behind one that was not played, as an interrupt came first.
  for (const result of played.filter((one) => !chosen.slice(0, told).some(({ name }) => name === one.name))) {
    onResult(result);
  }
  return played;
}

function choose(only: readonly string[] | undefined): readonly Scenario[] {
  if (only === undefined) return scenarios;
  const wanted = only.map((pattern) => ({ pattern, fits: fitting(pattern) }));
  const strange = wanted.find(({ fits }) => !scenarios.some(({ name }) => fits.test(name)));
  if (strange !== undefined) {
    const names = scenarios.map(({ name }) => name).join(", ");
    throw new SkeinError("REQUEST_INVALID", `There is no scenario "${strange.pattern}"; there are ${names}.`);
  }
  return scenarios.filter(({ name }) => wanted.some(({ fits }) => fits.test(name)));
}

function fitting(pattern: string): RegExp {
  const literal = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`);
}

/** A server that answers wrongly is for the scenarios to judge; where there is none, there is nothing to test. */
async function requireAnswer(connection: ClientOptions): Promise<void> {
  try {
    await createClient(connection).ready();
  } catch (error) {
    if ((error as SkeinError).code === "SERVER_UNREACHABLE") throw error;
  }
}
