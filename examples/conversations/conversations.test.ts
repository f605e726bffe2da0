/** Three members in processes of their own, one of them in Python, under one protocol after the other. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { JsonObject } from "../../core/json.ts";
import { createClient, type Embedded, loadConfig, startEmbedded } from "../../index.ts";
import { findPython } from "../../test/services/python.ts";

const here = import.meta.dirname;
const root = join(here, "../..");
const python = await findPython();
const members: ChildProcess[] = [];
let system: Embedded;

function startMember(...command: string[]): ChildProcess {
  const [program, ...args] = command;
  const env = {
    ...process.env,
    SKEIN_URL: system.url,
    PYTHONPATH: join(root, "clients/python"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  return spawn(program!, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
}

beforeAll(async () => {
  system = await startEmbedded({
    config: loadConfig({ PORT: "0" }),
    logger: pino({ level: "silent" }),
    inMemory: true,
    withoutExecutor: true,
  });
  const script = (name: string, ...args: string[]) =>
    startMember(process.execPath, "--import", "tsx", join(here, "member.ts"), name, ...args);
  members.push(
    script("ada", "3", "south"),
    script("bob", "2", "south"),
    python ? startMember(python, join(here, "member.py"), "eve", "1", "north") : script("eve", "1", "north"),
  );
  const client = createClient({ url: system.url });
  const started = Date.now();
  while ((await client.agents.list()).data.length < members.length) {
    if (Date.now() - started > 60_000) throw new Error("The members have not registered within a minute.");
    await sleep(100);
  }
}, 90_000);

afterAll(async () => {
  for (const member of members) member.kill("SIGTERM");
  await Promise.all(members.map((member) => member.exitCode ?? member.signalCode ?? once(member, "exit")));
  await system?.stop();
});

async function decide(protocol: string) {
  const client = createClient({ url: system.url });
  const definition = parse(readFileSync(join(here, "team.yaml"), "utf8")) as { tasks: [JsonObject] };
  definition.tasks[0].capability = `conversation.${protocol}`;
  const run = await client.runs.submit(
    { definition: definition as never, inputs: { topic: "Where to?" } },
    { wait: 30 },
  );
  const { status, outputs, error } = await client.runs.result(run.id);
  const { result, conversation } = (outputs ?? {}) as { result: JsonObject; conversation: string };
  return { client, status, error, result, conversation };
}

describe("a team of processes", { timeout: 60_000 }, () => {
  it("gives work to the lowest bid, by contract net", async () => {
    const { client, status, result, conversation } = await decide("contract-net");
    expect([status, result]).toEqual([
      "completed",
      expect.objectContaining({ member: "eve", cost: 1, content: "eve has done: Where to?" }),
    ]);
    const { data } = await client.conversations.transcript(conversation);
    expect(
      data
        .filter(({ type }) => type === "bid")
        .map(({ from }) => from)
        .toSorted(),
    ).toEqual(["ada", "bob", "eve"]);
    expect(await client.conversations.draw(conversation, "mermaid")).toMatch(/^sequenceDiagram/);
    expect(await client.conversations.draw(conversation, "svg")).toMatch(/^<svg .*contract-net: Where to\?/s);
  });

  it("argues until the rounds are over, by debate", async () => {
    const { client, conversation, status, result } = await decide("debate");
    expect([status, result]).toEqual(["completed", expect.objectContaining({ position: "south" })]);
    const { data } = await client.conversations.transcript(conversation);
    expect(data.filter(({ type, from }) => type === "statement" && from !== null)).toHaveLength(6);
  });

  it("votes, and answers, when that is the one field that is changed", async () => {
    expect(await decide("vote")).toMatchObject({ status: "completed", result: { winner: "south" } });
    expect(await decide("request-reply")).toMatchObject({ status: "completed", result: { unanswered: [] } });
  });

  it("is waited for no longer than its turn when a member is gone", async () => {
    members[0]!.kill("SIGKILL");
    await once(members[0]!, "exit");
    const client = createClient({ url: system.url });
    const all = { topic: "Where to?", members: ["ada", "bob", "eve"], turn_deadline: "3s" };
    const { id } = await client.conversations.start({ protocol: "request-reply", ...all });
    expect(await client.conversations.end(id)).toMatchObject({ status: "completed", result: { unanswered: ["ada"] } });
  });
});
