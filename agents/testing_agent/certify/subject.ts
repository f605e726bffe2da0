/** The executor under test as a process that the kit starts, signals, kills and starts again. */
import { type ChildProcess, spawn } from "node:child_process";

export interface Subject {
  readonly isRunning: boolean;
  /** How it ended while the kit wanted it to run; undefined while all is well. */
  readonly surprise: string | undefined;
  start(): void;
  /** From now on its end is no surprise. Resolves with its exit code when it has ended; null: by a signal. */
  ended(): Promise<number | null>;
  signal(name: NodeJS.Signals): void;
  /** Ends it, and whatever it started, at once. */
  kill(): Promise<void>;
  /** Its last lines of output. */
  tail(): string;
}

const TAIL_LINES = 10;
const MAX_TAIL_CHARS = 8_192;

export function createSubject(command: readonly string[], env: NodeJS.ProcessEnv): Subject {
  const [file = "", ...args] = command;
  let child: ChildProcess | undefined;
  let end: Promise<number | null> = Promise.resolve(null);
  let isRunning = false;
  let isEndWanted = true;
  let surprise: string | undefined;
  let output = "";

  const tail = () => output.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
  const killGroup = () => {
    try {
      // What it started belongs to its group; an executor behind a shell must not survive the shell.
      if (child?.pid) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It is gone already.
    }
  };

  return {
    get isRunning() {
      return isRunning;
    },
    get surprise() {
      return surprise;
    },
    start() {
      isEndWanted = false;
      surprise = undefined;
      output = "";
      const started = spawn(file, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
      child = started;
      isRunning = true;
      // Whatever ends the kit must not leave it behind.
      process.once("exit", killGroup);
      for (const stream of [started.stdout, started.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          output = (output + text).slice(-MAX_TAIL_CHARS);
        });
      }
      end = new Promise((resolve) => {
        const finish = (code: number | null, how: string) => {
          isRunning = false;
          process.off("exit", killGroup);
          if (!isEndWanted) surprise = how;
          resolve(code);
        };
        started.once("error", (error) => finish(null, `it cannot be started: ${error.message}`));
        started.once("exit", (code, signal) => finish(code, `it ended by itself (${signal ?? `exit code ${code}`})`));
      });
    },
    ended() {
      isEndWanted = true;
      return end;
    },
    signal: (name) => void child?.kill(name),
    async kill() {
      isEndWanted = true;
      killGroup();
      await end;
      child = undefined;
    },
    tail,
  };
}
