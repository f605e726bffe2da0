/** The conformance kit: plays its cases with an executor that it starts itself, against a deployment that is there. */
import { randomUUID } from "node:crypto";
import { SkeinError } from "../../../core/errors.ts";
import { type ClientOptions, createAgentClient, createClient } from "../../../sdk/client.ts";
import { isTrue } from "../expect.ts";
import { reportJson, reportOf, resultLines, summaryLine, type TestReport } from "../report.ts";
import { play, type ScenarioResult } from "../scenario.ts";
import { cases } from "./cases.ts";
import { openNoteBoard } from "./notes.ts";
import { type FaultProxy, openProxy, parse } from "./proxy.ts";
import { type Case, capabilities, createRig, DRAIN_MS, type RigOptions, SLOTS } from "./rig.ts";
import { createSubject, type Subject } from "./subject.ts";

export interface CertifyOptions {
  url: string;
  /** Needs the scopes runs:read, runs:write and work; the executor under test is given it as SKEIN_API_KEY. */
  apiKey?: string;
  /** What starts the executor under test. */
  command: readonly string[];
  /** Its environment, which the kit completes. With AMQP_URL in it, the kit repeats hints through the broker. */
  env: NodeJS.ProcessEnv;
  /** Where the executor finds the deployment; default: any free port. */
  port?: number;
  /** Names of the cases to play; default all. */
  only?: readonly string[];
  /** How long the executor may take for what it should do at once, in milliseconds. Default 20,000. */
  patienceMs?: number;
  /** One JSON document instead of a table. */
  json?: boolean;
  /** Takes the report, line by line. */
  log: (line: string) => void;
  /** Aborted, the kit ends the executor and gives up. */
  signal?: AbortSignal;
}

const PATIENCE_MS = 20_000;
/** A case waits for many things, one after another. */
const CASE_DEADLINE_MS = 120_000;
/** Until the executor is killed when all is over. */
const STOP_PATIENCE_MS = 10_000;

/**
 * Resolves with what passed and what failed. Rejects with SERVER_UNREACHABLE when nobody answers at `url`, with
 * REQUEST_INVALID when `only` names no case, and with CAPABILITY_CONFLICT when others offer what the kit asks for.
 */
export async function certify(options: CertifyOptions): Promise<TestReport> {
  const { url, apiKey, command, env, only, json = false, log, signal: stop = new AbortController().signal } = options;
  const chosen = choose(only);
  const connection = { url, ...(apiKey !== undefined && { apiKey }) };
  await requireAlone(connection);
  const proxy = await openProxy(url, options.port ?? 0);
  const board = await openNoteBoard();
  const subject = createSubject(command, {
    ...env,
    SKEIN_URL: proxy.url,
    ...(apiKey !== undefined && { SKEIN_API_KEY: apiKey }),
    SKEIN_AGENT_NAME: `certify-${randomUUID()}`,
    SKEIN_CAPABILITIES: capabilities.join(),
    SKEIN_SLOTS: String(SLOTS),
    SKEIN_DRAIN_MS: String(DRAIN_MS),
  });
  const rigOptions: RigOptions = {
    connection,
    subject,
    proxy,
    board,
    amqpUrl: env.AMQP_URL || undefined,
    patienceMs: options.patienceMs ?? PATIENCE_MS,
    stop,
  };
  try {
    const results: ScenarioResult[] = [];
    for (const one of chosen) {
      stop.throwIfAborted();
      const result = await playCase(one, rigOptions);
      results.push(result);
      if (!json) for (const line of resultLines(result)) log(line);
    }
    const report = reportOf(results);
    log(json ? reportJson(url, report) : summaryLine(url, report, "cases"));
    return report;
  } finally {
    await end(subject);
    await leave(proxy, connection);
    await Promise.all([proxy.close(), board.close()]);
  }
}

async function playCase({ name, title, play: perform }: Case, options: RigOptions): Promise<ScenarioResult> {
  const { proxy, subject } = options;
  const scenario = {
    name,
    title,
    deadlineMs: CASE_DEADLINE_MS,
    play: async (stage: Parameters<typeof createRig>[0]) => {
      const rig = createRig(stage, options);
      rig.step("start the executor");
      await rig.start();
      await perform(rig);
      isTrue("the executor keeps running", subject.surprise === undefined, `${subject.surprise}: ${subject.tail()}`);
    },
  };
  const result = await play(scenario, options.connection);
  proxy.clear();
  // What it does after a failure says nothing about the next case.
  if (result.failure) await subject.kill();
  return result;
}

function choose(only: readonly string[] | undefined): readonly Case[] {
  const strange = only?.find((name) => !cases.some((one) => one.name === name));
  if (strange !== undefined) {
    const names = cases.map(({ name }) => name).join(", ");
    throw new SkeinError("REQUEST_INVALID", `There is no case "${strange}"; there are ${names}.`);
  }
  return only === undefined ? cases : cases.filter(({ name }) => only.includes(name));
}

/** Another executor would take the tasks that the one under test is to perform. */
async function requireAlone(connection: ClientOptions): Promise<void> {
  const { data } = await createClient(connection).capabilities();
  const others = data.filter(({ name, agents }) => agents > 0 && capabilities.some((own) => own === name));
  if (others.length === 0) return;
  throw new SkeinError(
    "CAPABILITY_CONFLICT",
    `An executor at ${connection.url} offers ${others[0]!.name} already; stop it (one that was killed is forgotten ` +
      "after 30 s), or use an API key of another namespace.",
  );
}

async function end(subject: Subject): Promise<void> {
  if (!subject.isRunning) return;
  const patience = setTimeout(() => void subject.kill(), STOP_PATIENCE_MS);
  const ended = subject.ended();
  subject.signal("SIGTERM");
  await ended;
  clearTimeout(patience);
}

/** Killed executors could not say goodbye; who certifies again should not have to wait until they are forgotten. */
async function leave(proxy: FaultProxy, connection: ClientOptions): Promise<void> {
  const agents = proxy.exchanges
    .filter(({ route, answer }) => route === "register" && answer?.status === 201)
    .map(({ answer }) => parse(answer!.text) as { id: string; agent_token: string });
  await Promise.allSettled(agents.map((agent) => createAgentClient(connection, agent).leave()));
}
