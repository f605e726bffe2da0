/** A conversation goes on where it was when the process that keeps it is killed midway. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { protocolNames } from "../../core/conversation/state.ts";
import type { SkeinError } from "../../core/errors.ts";
import { actedMembers, actOut, type Scene } from "../../core/experiment/acted.suite.ts";
import type { Json } from "../../core/json.ts";
import { createAgentClient, createClient } from "../../sdk/client.ts";

const root = join(import.meta.dirname, "../..");
const folder = await mkdtemp(join(tmpdir(), "skein-conversation-"));
const processes: ChildProcess[] = [];

afterAll(async () => {
  for (const child of processes) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** `skein dev` over the folder, once it is ready. */
async function startDev(port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "cli/main.ts"), "dev"], {
    cwd: root,
    env: { ...process.env, PORT: String(port), SKEIN_DATA_DIR: join(folder, String(port)), LOG_LEVEL: "silent" },
    stdio: "ignore",
  });
  processes.push(child);
  const client = createClient({ url: `http://127.0.0.1:${port}` });
  for (let tries = 0; ; tries++) {
    try {
      await client.ready();
      return child;
    } catch (error) {
      if (tries > 600 || child.exitCode !== null) throw error;
      await sleep(100);
    }
  }
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

it("a debate loses nothing that was said, and goes on", { timeout: 180_000 }, async () => {
  const port = await freePort();
  const options = { url: `http://127.0.0.1:${port}` };
  const client = createClient(options);
  let server = await startDev(port);
  const names = ["ada", "bob", "eve"];
  const agents = await Promise.all(
    names.map(async (name) => {
      const registered = await client.agents.register({ name, kind: "external", capabilities: [] });
      return createAgentClient(options, registered);
    }),
  );
  const { id } = await client.conversations.start({
    protocol: "debate",
    topic: "Where to?",
    members: names,
    turn_deadline: "5m",
    deadline: "10m",
  });
  const positions = ["south", "south", "north"];
  for (const round of [1, 2]) {
    for (const [index, agent] of agents.entries()) {
      await agent.conversations.say(id, {
        id: `${round}.${index}`,
        type: "statement",
        body: { content: `${names[index]}, round ${round}`, position: positions[index]! },
      });
      if (round !== 1 || index !== 1) continue;
      await kill(server);
      server = await startDev(port);
      // Whose answer was lost in the crash says it again.
      const again = await agent.conversations.say(id, {
        id: `${round}.${index}`,
        type: "statement",
        body: { content: "again" },
      });
      expect(again).toEqual({ id: `${round}.${index}`, repeated: true });
    }
  }
  expect(await client.conversations.end(id)).toMatchObject({ status: "completed", result: { position: "south" } });
  const { data } = await client.conversations.transcript(id);
  expect(
    data.flatMap(({ type, from, body }) =>
      type === "statement" && from !== null ? [(body as { content: string }).content] : [],
    ),
  ).toEqual([1, 2].flatMap((round) => names.map((name) => `${name}, round ${round}`)));
  expect(data.map(({ seq }) => seq)).toEqual(data.map((_, index) => index + 1));
});

/** How a member fails; null: all speak as they may. */
const kinds = [null, "interrupter", "flooder", "forger", "silent", "late"] as const;
const shownAs: Record<string, string> = { interrupter: "out_of_turn", forger: "forging" };
/** They are waited for in vain: a flooder is not heard any more, when it says what it was asked for. */
const slow: readonly string[] = ["silent", "late", "flooder"];
/** Of a turn where somebody takes its time. */
const SLOW_TURN_MS = 3_000;
const plays = protocolNames.flatMap((protocol) => kinds.map((kind) => ({ protocol, kind })));

it("under every protocol, and with every misbehaviour, one that was killed midway goes on to its end", {
  timeout: 240_000,
}, async () => {
  const port = await freePort();
  const options = { url: `http://127.0.0.1:${port}` };
  const client = createClient(options);
  const server = await startDev(port);
  const agents = new Map(
    await Promise.all(
      actedMembers.map(async (name) => {
        const registered = await client.agents.register({ name, kind: "external", capabilities: [] });
        return [name, createAgentClient(options, registered)] as const;
      }),
    ),
  );
  let goOn = () => {};
  const restarted = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const midway: (() => void)[] = [];
  const allMidway = Promise.all(plays.map((_, at) => new Promise<void>((resolve) => (midway[at] = resolve))));

  async function act({ protocol, kind }: (typeof plays)[number], index: number): Promise<void> {
    // Of those who take their time, time has to pass; all others are never hurried.
    const isSlow = kind !== null && slow.includes(kind);
    const { id } = await client.conversations.start({
      protocol,
      topic: "Where to?",
      members: actedMembers,
      flood_limit: 5,
      // Who forges is never heard, and would be waited for.
      max_strikes: kind === "forger" ? 1 : 100,
      turn_deadline: isSlow ? `${SLOW_TURN_MS}ms` : "5m",
      deadline: isSlow ? "15s" : "10m",
    });
    const told = new Map(
      actedMembers.map((name) => [name, [] as { number: number; type: string | null; body: Json }[]]),
    );
    let taken = 0;
    const untilRestarted = async () => {
      midway[index]!();
      await restarted;
    };
    const scene: Scene = {
      async read(name, after) {
        const { inbox } = agents.get(name)!.data;
        const { messages } = await inbox.read({ limit: 1_000 });
        const own = messages.filter(({ conversation }) => conversation === id);
        const known = told.get(name)!;
        known.push(...own.map(({ type, body }, at) => ({ number: known.length + at + 1, type, body })));
        if (own.length > 0) await inbox.acknowledge(own.map((one) => one.id));
        return known.slice(after);
      },
      async say(name, messageId, speech) {
        try {
          await agents.get(name)!.conversations.say(id, { id: messageId, ...speech });
          taken += 1;
        } catch (error) {
          if (!kind || !(error as SkeinError).code?.startsWith("CONVERSATION_")) throw error;
        }
      },
      isOver: async () => (await client.conversations.get(id)).status !== "open",
      async letTimePass() {
        if (isSlow) await untilRestarted();
        await sleep(isSlow ? SLOW_TURN_MS + 1_000 : 100);
      },
    };
    const failing = kind ? { member: "ada", kind } : undefined;
    await actOut(scene, failing, async (said) => {
      if (said === 2) await untilRestarted();
    });
    const { status } = await client.conversations.get(id);
    const { data } = await client.conversations.transcript(id, { limit: 1_000 });
    midway[index]!();
    const flaws = data.filter(({ misbehaviour }) => misbehaviour !== null);
    expect(data.map(({ seq }) => seq)).toEqual(data.map((_, at) => at + 1));
    expect(status).not.toBe("open");
    expect(data.filter(({ from, misbehaviour }) => from !== null && misbehaviour === null)).toHaveLength(taken);
    // While the server was away others may have been silent, too, where somebody is hurried.
    if (isSlow) return;
    const isDumb = kind === "forger" && (protocol === "supervisor" || protocol === "gossip");
    expect([protocol, kind, status]).toEqual([protocol, kind, isDumb ? "failed" : "completed"]);
    expect(new Set(flaws.map(({ from }) => from))).toEqual(new Set(kind ? ["ada"] : []));
    if (kind) expect(flaws.map(({ misbehaviour }) => misbehaviour)).toContain(shownAs[kind]);
  }

  const acts = plays.map(act);
  await Promise.race([allMidway, Promise.all(acts)]);
  await kill(server);
  await startDev(port);
  goOn();
  await Promise.all(acts);
});
