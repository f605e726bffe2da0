/** What every command is given: where to write, what the environment says, how to reach the server, when to stop. */
import pico from "picocolors";
import { SkeinError } from "../core/errors.ts";
import type { Client } from "../sdk/client.ts";

export type Environment = Record<string, string | undefined>;

/** The parts of the process that a command touches; tests bring their own. */
export interface Surroundings {
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
  stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
  stdin: AsyncIterable<Buffer | string>;
  env: Environment;
  /** Aborted by the first Ctrl-C or SIGTERM from now on; the second one ends the process at once. */
  interrupt(): AbortSignal;
}

export interface GlobalOptions {
  server?: string;
  /** The same, as `skein test` has it. */
  url?: string;
  apiKey?: string;
  json?: boolean;
}

export interface Context extends Surroundings {
  /** Print JSON, and nothing but JSON, on stdout. */
  json: boolean;
  /** `--server` or SKEIN_URL; undefined when neither is given. */
  server: string | undefined;
  apiKey: string | undefined;
  /** Colours for stdout. */
  paint: Paint;
  /** The client of `server`, or of the address where `skein dev` listens by default. */
  client(): Promise<Client>;
  /** Writes a line for people to stderr. A live view puts itself in its place, so that the line does not tear it. */
  note(line: string): void;
}

export type Paint = ReturnType<typeof pico.createColors>;

const DEFAULT_PORT = "8080";

/** Throws CONFIG_INVALID when the server's address is not one. */
export function createContext(surroundings: Surroundings, options: GlobalOptions): Context {
  const { env, stdout, stderr } = surroundings;
  const server = requireAddress(options.server ?? options.url ?? setValue(env.SKEIN_URL));
  const apiKey = options.apiKey ?? setValue(env.SKEIN_API_KEY);
  const local = `http://127.0.0.1:${setValue(env.PORT) ?? DEFAULT_PORT}`;
  return {
    ...surroundings,
    json: options.json ?? false,
    server,
    apiKey,
    paint: paintFor(stdout, env),
    client: async () => {
      const { createClient } = await import("../sdk/client.ts");
      return createClient({ url: server ?? local, ...(apiKey !== undefined && { apiKey }) });
    },
    note: (line) => {
      stderr.write(`${line}\n`);
    },
  };
}

/** Whether a moving picture can be drawn there. */
export function isLive(stream: Surroundings["stdout"], env: Environment): boolean {
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Colours, where the stream shows them. https://no-color.org: NO_COLOR set and not empty means none. */
export function paintFor(stream: Surroundings["stdout"], env: Environment): Paint {
  if (env.NO_COLOR) return pico.createColors(false);
  return pico.createColors(env.FORCE_COLOR ? env.FORCE_COLOR !== "0" : isLive(stream, env));
}

/** An empty variable counts as unset, as everywhere. */
function setValue(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

function requireAddress(address: string | undefined): string | undefined {
  if (address === undefined || /^https?:$/.test(protocolOf(address))) return address;
  throw new SkeinError(
    "CONFIG_INVALID",
    `"${address}" is not a server address; give --server or SKEIN_URL one such as http://127.0.0.1:8080.`,
  );
}

function protocolOf(address: string): string {
  return URL.canParse(address) ? new URL(address).protocol : "";
}
