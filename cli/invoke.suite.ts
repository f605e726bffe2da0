/** Runs a command line inside the test's own process, on streams that remember what was written. */
import { Writable } from "node:stream";
import { pino } from "pino";
import { loadConfig } from "../config.ts";
import type { Embedded } from "../embedded.ts";
import type { Environment } from "./context.ts";
import { runCli } from "./program.ts";

export interface InvokeOptions {
  env?: Environment;
  stdin?: string;
  /** Draws live pictures of this size. */
  terminal?: { columns: number; rows: number };
  /** Ctrl-C. */
  signal?: AbortSignal;
  /** Is told of everything that goes to stdout, as it goes. */
  onOutput?: (written: string) => void;
  /** And to stderr. */
  onError?: (written: string) => void;
}

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export async function invoke(args: string[], options: InvokeOptions = {}): Promise<Outcome> {
  const stdout = recorder(options);
  const { terminal, onError } = options;
  const stderr = recorder({ ...(terminal && { terminal }), ...(onError && { onOutput: onError }) });
  const code = await runCli(args, {
    stdout,
    stderr,
    stdin: lines(options.stdin ?? ""),
    env: options.env ?? {},
    interrupt: () => options.signal ?? new AbortController().signal,
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

/** The embedded system in memory, on a free port. */
export async function startTestSystem(env: Environment = {}): Promise<Embedded> {
  // Most of what it takes to load is in there, and not every command needs it.
  const { startEmbedded } = await import("../embedded.ts");
  return startEmbedded({
    config: loadConfig({ PORT: "0", ...env }),
    logger: pino({ level: "silent" }),
    inMemory: true,
  });
}

function recorder({ terminal, onOutput }: InvokeOptions = {}) {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      onOutput?.(chunks.join(""));
      done();
    },
  });
  return Object.assign(stream, { text: () => chunks.join("") }, terminal && { isTTY: true, ...terminal });
}

async function* lines(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
