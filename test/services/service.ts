import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export const serviceNames = ["postgres", "rabbitmq", "redis"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** One kind of server, and how to run a private one. */
export interface Service {
  urlVariable: string;
  aptPackage: string;
  /** The path of an installed server that is new enough. */
  find(): Promise<string | undefined>;
  url(port: number): string;
  /** Rejects until the server at `url` does real work. */
  ping(url: string): Promise<void>;
  /** Writes what the server needs into `folder`, once, and says what to run, in order; the last command is the server. */
  prepare(options: PrepareOptions): Promise<Command[]>;
  container: { image: string; port: number; env: Record<string, string>; args(durable: boolean): string[] };
  /** The tool beside the server that administers it. */
  controlProgram?: string;
}

export interface PrepareOptions {
  binary: string;
  port: number;
  folder: string;
  /** Survive a power cut, as in production. Without it PostgreSQL skips fsync, which only a power cut can tell. */
  durable: boolean;
}

export interface Command {
  file: string;
  args: string[];
  env?: Record<string, string>;
  uid?: number;
  gid?: number;
  /** What ends the process at once and leaves nothing behind; SIGKILL unless it has children of its own to end. */
  endSignal?: NodeJS.Signals;
}

/** A running server as the tests see it. */
export interface Server {
  readonly url: string;
  /** Runs the service's `controlProgram` on this server. */
  readonly control?: Command;
  /** Resolves when the server does real work. The first start prepares it; a later one finds the port and the data as left. */
  start(): Promise<void>;
  /** Ends the server as a crash would (SIGKILL); resolves when it is gone. */
  kill(): Promise<void>;
  /** Ends the server and everything that belongs to it. */
  stop(): Promise<void>;
  /** Of the processes on this machine, the server itself first; empty while it is down. */
  pids(): Promise<number[]>;
}

/** Ordinary users have no sbin folder in their PATH, yet that is where the servers are. */
const serverFolders = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin"];

/** The first executable of this name: in the folders named, in PATH, or where servers usually are. */
export function findOnPath(name: string, first: readonly string[] = []): string | undefined {
  const folders = [...first, ...(process.env.PATH ?? "").split(delimiter), ...serverFolders];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** The first number `file` prints, as in "postgres (PostgreSQL) 15.18"; undefined when it cannot run. */
export async function majorVersion(file: string, args: readonly string[]): Promise<number | undefined> {
  try {
    const { stdout } = await promisify(execFile)(file, args);
    return Number.parseInt(/\d+/.exec(stdout)?.[0] ?? "", 10) || undefined;
  } catch {
    return undefined;
  }
}
