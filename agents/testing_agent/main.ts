/** The testing agent: runs its scenarios against a deployment that is already there, through the REST API alone. */
import { SkeinError } from "../../core/errors.ts";
import { createClient } from "../../sdk/client.ts";
import { reportJson, resultLines, summaryLine } from "./report.ts";
import { play, type Scenario, type ScenarioResult } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

export interface TestingAgentOptions {
  url: string;
  /** Needs the scopes runs:read, runs:write and work; without a key against `skein dev` on this machine. */
  apiKey?: string;
  /** Names of the scenarios to run; default all. */
  only?: readonly string[];
  /** One JSON document instead of a table. */
  json?: boolean;
  /** Takes the report, line by line. */
  log: (line: string) => void;
}

export interface TestReport {
  passed: number;
  failed: number;
  results: ScenarioResult[];
}

/**
 * Resolves with what passed and what failed. What the scenarios leave behind are finished runs with the label
 * `skein-test`, and agents that have left. Rejects with SERVER_UNREACHABLE when nobody answers at `url`, and with
 * REQUEST_INVALID when `only` names a scenario that does not exist.
 */
export async function runTestingAgent(options: TestingAgentOptions): Promise<TestReport> {
  const { url, apiKey, only, json = false, log } = options;
  const chosen = choose(only);
  const connection = { url, ...(apiKey !== undefined && { apiKey }) };
  await requireAnswer(connection);
  const results: ScenarioResult[] = [];
  for (const scenario of chosen) {
    const result = await play(scenario, connection);
    results.push(result);
    if (!json) for (const line of resultLines(result)) log(line);
  }
  const failed = results.filter(({ failure }) => failure).length;
  const report = { passed: results.length - failed, failed, results };
  log(json ? reportJson(url, report) : summaryLine(url, report));
  return report;
}

function choose(only: readonly string[] | undefined): readonly Scenario[] {
  const known = new Map(scenarios.map((scenario) => [scenario.name, scenario]));
  const strange = only?.find((name) => !known.has(name));
  if (strange !== undefined) {
    const names = [...known.keys()].join(", ");
    throw new SkeinError("REQUEST_INVALID", `There is no scenario "${strange}"; there are ${names}.`);
  }
  return only === undefined ? scenarios : only.map((name) => known.get(name)!);
}

/** A server that answers wrongly is for the scenarios to judge; where there is none, there is nothing to test. */
async function requireAnswer(connection: { url: string; apiKey?: string }): Promise<void> {
  try {
    await createClient(connection).ready();
  } catch (error) {
    if ((error as SkeinError).code === "SERVER_UNREACHABLE") throw error;
  }
}
