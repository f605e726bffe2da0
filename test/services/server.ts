import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SkeinError } from "../../core/errors.ts";
import { freePort } from "./free-port.ts";
import type { Guarded } from "./guardian.ts";
import { untilReady } from "./ready.ts";
import type { Command, Server, Service, ServiceName } from "./service.ts";

/** A server from an installed binary, prepared in its own folder but not started. */
export async function processServer(
  name: ServiceName,
  service: Service,
  { binary, durable, guarded }: { binary: string; durable: boolean; guarded: Guarded },
): Promise<Server> {
  const folder = join(guarded.folder, name);
  const log = join(folder, "server.log");
  await mkdir(folder);
  const port = await freePort();
  const commands = await service.prepare({ binary, port, folder, durable });
  const server = commands.at(-1) as Command;
  const processes = new Map<Command, ChildProcess>();
  const url = service.url(port);
  let isRestart = false;

  async function launch(command: Command): Promise<void> {
    const child = await spawnDetached(command, folder, log);
    // A server that cannot start may have ended by now, and its exit will not be told again.
    if (child.exitCode !== null || child.signalCode !== null) return;
    processes.set(command, child);
    const guard = `${name}-${child.pid}`;
    const guarding = guarded.guard(guard, `kill -s ${endSignal(command).slice(3)} ${child.pid}`);
    child.once("exit", () => {
      processes.delete(command);
      void guarding.then(() => guarded.release(guard));
    });
    await guarding;
  }

  return {
    url,
    ...controlOf(service, binary, server),
    async start() {
      for (const command of commands) if (!processes.has(command)) await launch(command);
      await untilReady(name, {
        ping: () => service.ping(url),
        revive: async () => {
          // After a SIGKILL PostgreSQL exits at once as long as an orphaned child of the old one is left: try again.
          if (isRestart && !processes.has(server)) await launch(server);
          return processes.has(server);
        },
        log: () => readFile(log, "utf8"),
      });
      isRestart = true;
    },
    kill: () => end(processes.get(server), "SIGKILL"),
    async stop() {
      for (const command of commands.toReversed()) await end(processes.get(command), endSignal(command));
    },
    pids: async () => commands.toReversed().flatMap((command) => processes.get(command)?.pid ?? []),
  };
}

/** A server that somebody else runs: it can be used, but not killed. */
export function externalServer(name: ServiceName, service: Service, url: string): Server {
  return {
    url,
    async start() {
      await service.ping(url).catch((cause) => {
        // Not the URL itself: it may hold a password.
        const where = `${service.urlVariable} (${URL.canParse(url) ? new URL(url).host : "not a URL"})`;
        throw new SkeinError("CONFIG_INVALID", `${name} does not answer at ${where}: ${(cause as Error).message}`, {
          cause,
        });
      });
    },
    async kill() {
      throw new SkeinError(
        "FEATURE_UNAVAILABLE",
        `${name} comes from ${service.urlVariable}, so it is not ours to kill: unset the variable for this test`,
      );
    },
    stop: async () => {},
    pids: async () => [],
  };
}

function endSignal(command: Command): NodeJS.Signals {
  return command.endSignal ?? "SIGKILL";
}

function controlOf(service: Service, binary: string, server: Command): { control?: Command } {
  if (!service.controlProgram) return {};
  return { control: { ...server, file: join(dirname(binary), service.controlProgram), args: [] } };
}

/** Detached, in a process group of its own: Ctrl-C in a terminal must not reach the server before the tests have ended. */
async function spawnDetached(command: Command, folder: string, logFile: string): Promise<ChildProcess> {
  const { file, args, env, uid, gid } = command;
  const log = await open(logFile, "a");
  try {
    const child = spawn(file, args, {
      detached: true,
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", log.fd, log.fd],
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    await once(child, "spawn");
    return child;
  } finally {
    await log.close();
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}
