/** Executors that somebody wrote in a module of their own, named on a command line. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SkeinError } from "../core/errors.ts";
import type { Executor } from "./executor.ts";

/**
 * What a module (a path or the name of a package) exports of `defineExecutor`, under whatever names, alone or in lists.
 * Throws CONFIG_INVALID when it cannot be loaded or exports none.
 */
export async function loadExecutors(specifier: string): Promise<Executor[]> {
  const path = resolve(specifier);
  const isFile = existsSync(path);
  let module: Record<string, unknown>;
  try {
    module = await import(isFile ? pathToFileURL(path).href : specifier);
  } catch (cause) {
    throw new SkeinError("CONFIG_INVALID", `Cannot load the executors of ${specifier}: ${reasonOf(cause, isFile)}`, {
      cause,
    });
  }
  // One object may be exported under several names.
  const found = new Set(Object.values(module).flat().filter(isExecutor));
  if (found.size > 0) return [...found];
  throw new SkeinError("CONFIG_INVALID", `${specifier} exports no executor; export what defineExecutor returns.`);
}

/** By shape: an author's own copy of the SDK is as good as ours. */
function isExecutor(value: unknown): value is Executor {
  const { capability, run, parseInput, parseOutput } = (value ?? {}) as Partial<Executor>;
  return typeof capability === "string" && [run, parseInput, parseOutput].every((part) => typeof part === "function");
}

function reasonOf(cause: unknown, isFile: boolean): string {
  const { code, message = String(cause) } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code === "ERR_UNKNOWN_FILE_EXTENSION") {
    return (
      `Node ${process.versions.node} does not run TypeScript by itself. Use Node 22.18 or newer, compile the file to ` +
      "JavaScript, or install tsx and start with NODE_OPTIONS='--import tsx'."
    );
  }
  // Node knows the place, but tells it only in its own output.
  if (cause instanceof SyntaxError) return `${message}; \`node --check\` on the file shows where.`;
  if (code === "ERR_MODULE_NOT_FOUND" && !isFile) return "there is neither such a file nor such a package.";
  return `${message}.`;
}
