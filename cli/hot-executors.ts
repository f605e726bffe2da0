/**
 * Executors of one's own in a process of their own, which is replaced when their modules change. Only a new process loads
 * everything anew: Node keeps what it has imported, for modules of every kind and however deep.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SkeinError } from "../core/errors.ts";
import type { Environment } from "./context.ts";
import { filesOfModules, stateOf } from "./module-files.ts";

/** What the supervisor says: go when your tasks are done, or within the drain time. */
export type Order = "retire" | "stop";
/** What the executor says. */
export type Word = { type: "started" } | { type: "stopping" } | { type: "failed"; message: string };

export interface HotExecutorsOptions {
  /** Paths or names of packages; only files are watched. */
  modules: readonly string[];
  /** What the process gets beside the environment of this one. */
  env: Environment;
  /** How long handlers may go on when everything stops. */
  drainMs: number;
  /** A line that the process has written, to stdout or to stderr. */
  onLine(line: string, stream: "stdout" | "stderr"): void;
  /** Tells people, in one line. */
  tell(line: string): void;
}

/** How often the files are looked at. Two looks have to agree: an editor may still be writing. */
const LOOK_MS = 200;
/** A process that died is replaced after this long. */
const RESTART_MS = 1_000;
/** What a process needs beyond its drain time, to report and to leave. */
const LEAVE_MS = 10_000;

interface Child {
  process: ChildProcess;
  /** Why it did not start; undefined when it did. */
  started: Promise<string | undefined>;
  /** It takes no work any more, or is gone. */
  stopping: Promise<unknown>;
  exited: Promise<unknown>;
}

/** Resolves when the executors take work. Rejects with CONFIG_INVALID and the reason when they cannot be loaded. */
export async function startHotExecutors(options: HotExecutorsOptions): Promise<{ stop(): Promise<void> }> {
  const { modules, tell } = options;
  const children = new Set<Child>();
  let current: Child | undefined;
  let starting: Child | undefined;
  let reloading = Promise.resolve();
  let isStopping = false;
  let files: string[] = [];
  /** Of the files, when they were last loaded, and when they were last looked at. */
  let loaded = "";
  let seen = "";

  function launch(): Child {
    // Before it loads them: what changes meanwhile is loaded again.
    files = filesOfModules(modules, process.cwd());
    loaded = seen = stateOf(files);
    const child = startChild(options);
    children.add(child);
    void child.exited.then(() => {
      children.delete(child);
      if (child === current && !isStopping) mourn(child);
    });
    return child;
  }

  function mourn({ process: { exitCode, signalCode } }: Child): void {
    current = undefined;
    tell(`the executors' process ended by itself (${signalCode ?? exitCode}); starting it again`);
    setTimeout(reload, RESTART_MS).unref();
  }

  /** One at a time. A process that is still loading what has changed since is not waited for. */
  function reload(): void {
    starting?.process.kill("SIGKILL");
    reloading = reloading.then(replace);
  }

  async function replace(): Promise<void> {
    if (isStopping) return;
    const next = launch();
    starting = next;
    const flaw = await next.started;
    starting = undefined;
    if (isStopping) return;
    if (flaw !== undefined) {
      // What has changed since will be loaded, and told, anew.
      if (loaded === stateOf(files))
        tell(`the executors were not reloaded${current ? ", the old ones go on" : ""}: ${oneLine(flaw)}`);
      return;
    }
    const old = current;
    current = next;
    old?.process.send("retire" satisfies Order);
    await old?.stopping;
    tell("the executors were reloaded");
  }

  function look(): void {
    const state = stateOf(files);
    if (state !== loaded && state === seen) reload();
    seen = state;
  }

  async function stop(): Promise<void> {
    isStopping = true;
    clearInterval(timer);
    starting?.process.kill("SIGKILL");
    const late = setTimeout(() => {
      for (const child of children) child.process.kill("SIGKILL");
    }, options.drainMs + LEAVE_MS);
    for (const child of children) if (child.process.connected) child.process.send("stop" satisfies Order);
    await Promise.all(Array.from(children, (child) => child.exited));
    await reloading;
    clearTimeout(late);
  }

  const first = launch();
  const flaw = await first.started;
  if (flaw !== undefined) throw new SkeinError("CONFIG_INVALID", flaw);
  current = first;
  const timer = setInterval(look, LOOK_MS);
  return { stop };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}

const main = fileURLToPath(new URL(`./main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url));

function startChild({ modules, env, onLine }: HotExecutorsOptions): Child {
  const imports = modules.flatMap((module) => ["--import", module]);
  const child = spawn(process.execPath, [...process.execArgv, main, "executor", "--supervised", ...imports], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    // Ctrl-C in a terminal goes to a whole group: this one is told by us.
    detached: process.platform !== "win32",
  });
  for (const name of ["stdout", "stderr"] as const) {
    createInterface({ input: child[name]! }).on("line", (line) => onLine(line, name));
  }
  const exited = once(child, "close");
  const heard = (type: Word["type"]) =>
    new Promise<Word>((resolve) => {
      child.on("message", (word: Word) => word.type === type && resolve(word));
    });
  const failed = heard("failed").then((word) => (word.type === "failed" ? word.message : undefined));
  const died = exited.then(() => `its process ended (${child.signalCode ?? child.exitCode}) before it took work.`);
  return {
    process: child,
    started: Promise.race([heard("started").then(() => undefined), failed, died]),
    stopping: Promise.race([heard("stopping"), exited]),
    exited,
  };
}
