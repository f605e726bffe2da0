#!/usr/bin/env node
/** The `skein` command. */
import { existsSync } from "node:fs";
import { runCli } from "./program.ts";

/** 128 + SIGINT, as shells have it. */
const INTERRUPTED = 130;

let interrupted: AbortController | undefined;

/** How often the command looks whether its parent is still there. */
const ORPHAN_CHECK_MS = 500;

function interrupt(): AbortSignal {
  if (interrupted) return interrupted.signal;
  const controller = new AbortController();
  interrupted = controller;
  // npm and its shell die of a SIGTERM without passing it on; a new parent says that they did.
  if (process.env.npm_command !== undefined) {
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && controller.abort(), ORPHAN_CHECK_MS).unref();
  }
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => (controller.signal.aborted ? process.exit(INTERRUPTED) : controller.abort()));
  }
  return controller.signal;
}

// `skein runs list | head`: nobody reads on, so there is nothing more to say.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
if (existsSync(".env")) process.loadEnvFile(".env");
const { stdout, stderr, stdin, env } = process;
const exitCode = await runCli(process.argv.slice(2), { stdout, stderr, stdin, env, interrupt });
// Whatever a handler of the user's has left running must not keep the command; what was written goes out first.
stdout.write("", () => process.exit(exitCode));
