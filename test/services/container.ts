import { execFile } from "node:child_process";
import { basename } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import type { Guarded } from "./guardian.ts";
import { untilReady } from "./ready.ts";
import type { Server, Service, ServiceName } from "./service.ts";

/** A server in a Docker container on a free loopback port, not started yet. */
export async function containerServer(
  name: ServiceName,
  service: Service,
  { durable, guarded }: { durable: boolean; guarded: Guarded },
): Promise<Server> {
  const { image, port: innerPort, env, args } = service.container;
  // A port of our choice: one chosen by Docker would be another one after a restart.
  const port = await freePort();
  const url = service.url(port);
  const container = `${basename(guarded.folder)}-${name}`;
  const variables = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
  let isCreated = false;

  async function create(): Promise<void> {
    await guarded.guard(name, `docker rm --force --volumes ${container}`);
    const publish = ["--publish", `127.0.0.1:${port}:${innerPort}`];
    await docker("run", "--detach", "--name", container, ...publish, ...variables, image, ...args(durable));
    isCreated = true;
  }

  return {
    url,
    ...(service.controlProgram && {
      control: { file: "docker", args: ["exec", "--interactive", container, service.controlProgram] },
    }),
    async start() {
      await (isCreated ? docker("start", container) : create());
      await untilReady(name, {
        ping: () => service.ping(url),
        revive: async () => (await docker("inspect", "--format", "{{.State.Running}}", container)) === "true",
        log: () => docker("logs", "--tail", "20", container),
      });
    },
    kill: async () => void (await docker("kill", container)),
    async stop() {
      await docker("rm", "--force", "--volumes", container);
      await guarded.release(name);
    },
    async pids() {
      const pid = Number(await docker("inspect", "--format", "{{.State.Pid}}", container));
      return pid ? [pid] : [];
    },
  };
}

async function docker(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)("docker", args);
  return (stdout || stderr).trim();
}
