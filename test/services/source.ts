/** Where the test run's PostgreSQL, RabbitMQ and Redis come from, and getting hold of them. */

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { postgres } from "./postgres.ts";
import { rabbitmq } from "./rabbitmq.ts";
import { redis } from "./redis.ts";
import type { Service, ServiceName } from "./service.ts";

export const services: Record<ServiceName, Service> = { postgres, rabbitmq, redis };

export type Source =
  | { from: "url"; url: string }
  | { from: "binary"; path: string }
  | { from: "apt"; package: string }
  | { from: "docker"; image: string };

/** What this machine offers, as far as the choice of a source depends on it. */
export interface Machine {
  env: Readonly<Record<string, string | undefined>>;
  /** Paths of the installed servers. */
  binaries: Partial<Record<ServiceName, string>>;
  /** Root on Debian or a relative of it. */
  canApt: boolean;
  /** A Docker daemon answers. */
  canDocker: boolean;
}

/** The environment's URL, else an installed binary, else apt, else Docker, else nothing. */
export function chooseSource(name: ServiceName, machine: Machine): Source | undefined {
  const { urlVariable, aptPackage, container } = services[name];
  const url = machine.env[urlVariable];
  if (url) return { from: "url", url };
  const path = machine.binaries[name];
  if (path) return { from: "binary", path };
  if (machine.canApt) return { from: "apt", package: aptPackage };
  if (machine.canDocker) return { from: "docker", image: container.image };
  return undefined;
}

export type Sources = Partial<Record<ServiceName, Exclude<Source, { from: "apt" }>>>;

/**
 * Chooses a source for each service and makes it usable: installs packages and pulls images. A service that is not in the
 * answer cannot be had here; what was tried for it went to `log`.
 */
export async function findSources(
  names: readonly ServiceName[],
  env: Machine["env"],
  log: (line: string) => void,
): Promise<Sources> {
  let machine = await inspectMachine(names, env);
  const packages = names.flatMap((name) => {
    const source = chooseSource(name, machine);
    return source?.from === "apt" ? [source.package] : [];
  });
  if (packages.length > 0) {
    await aptInstall(packages, log);
    machine = { ...(await inspectMachine(names, env)), canApt: false };
  }
  const sources: Sources = {};
  for (const name of names) {
    const source = chooseSource(name, machine);
    if (!source || source.from === "apt") continue;
    if (source.from === "docker" && !(await pull(source.image, log))) continue;
    sources[name] = source;
  }
  return sources;
}

const run = promisify(execFile);

async function inspectMachine(names: readonly ServiceName[], env: Machine["env"]): Promise<Machine> {
  const binaries: Machine["binaries"] = {};
  for (const name of names) {
    const path = await services[name].find();
    if (path) binaries[name] = path;
  }
  const complete = names.every((name) => env[services[name].urlVariable] || binaries[name]);
  return { env, binaries, canApt: !complete && isDebianRoot(), canDocker: !complete && (await dockerAnswers()) };
}

/** Root on Debian or a relative of it, where `aptInstall` works. */
export function isDebianRoot(): boolean {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
}

async function dockerAnswers(): Promise<boolean> {
  // The client alone exits 0 on `--version`; only the server's version proves a daemon.
  return run("docker", ["version", "--format", "{{.Server.Version}}"], { timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

async function pull(image: string, log: (line: string) => void): Promise<boolean> {
  try {
    await run("docker", ["image", "inspect", image]).catch(() => run("docker", ["pull", "--quiet", image]));
    return true;
  } catch (error) {
    log(`Docker answers, but cannot get the image ${image}: ${(error as Error).message.trim()}`);
    return false;
  }
}

/** Installs packages, without starting what is in them; whether they are there afterwards is for the caller to see. */
export async function aptInstall(packages: readonly string[], log: (line: string) => void): Promise<void> {
  log(`Installing ${packages.join(", ")} with apt-get …`);
  await withoutServiceStart(async () => {
    await apt(["update", "-qq"], log);
    await apt(["install", "-y", "-qq", "--no-install-recommends", ...packages], log);
  });
}

/** A failure is told and survived: whether the servers are there now is looked up afterwards, and Docker may still help. */
async function apt(args: string[], log: (line: string) => void): Promise<void> {
  const child = spawn("apt-get", args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const code = await new Promise((resolve) => child.once("close", resolve).once("error", resolve));
  if (code !== 0) log(`apt-get ${args[0]} did not succeed (${code}).`);
}

/** Debian starts a server right after installing it, on its standard port; policy-rc.d is the documented way to say no. */
async function withoutServiceStart(install: () => Promise<void>): Promise<void> {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return install();
  await writeFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    await install();
  } finally {
    await rm(policy);
  }
}
