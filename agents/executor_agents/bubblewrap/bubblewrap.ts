/**
 * Programs in a sandbox that the kernel keeps: bubblewrap (`bwrap`) builds it from namespaces, command-line.ts says what
 * is in it, seccomp.ts what may not be called in it. Here are the process around it, its time, its memory and its output.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, openSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { SkeinError } from "../../../core/errors.ts";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { createTurns } from "../turns.ts";
import {
  ANSWER_FD,
  commandLine,
  FIRST_DATA_FD,
  INFO_FD,
  type Program,
  STARTED,
  WRITABLE_FOLDERS,
} from "./command-line.ts";
import { canSeeChildren, killTree, untilGone, usesMoreThan } from "./process-tree.ts";
import { isSupported, seccompFilter } from "./seccomp.ts";

export interface Bubblewrap {
  /**
   * Runs a program to its end; when it is over, nothing of it is left. Waits its turn. Throws SANDBOX_TIMEOUT,
   * SANDBOX_CRASHED and SANDBOX_UNAVAILABLE (retryable), SANDBOX_MEMORY and SANDBOX_OUTPUT (not), and the signal's
   * reason when aborted.
   */
  run(job: Job): Promise<Ended>;
}

export interface Job extends Program {
  stdin?: string;
  /** Milliseconds from the moment the sandbox stands. */
  timeoutMs: number;
  /** Most bytes of what it prints, on each of the two streams. */
  maxOutputBytes: number;
  /** Most bytes of its answer. */
  maxAnswerBytes: number;
  signal: AbortSignal;
}

export interface Ended {
  /** 128 and more: ended by the signal of that number less 128. */
  exitCode: number;
  stdout: Buffer;
  stderr: Buffer;
  answer: Buffer;
}

/** Exit codes above this tell the signal that ended the program. */
export const SIGNAL_BASE = 128;
/** More at once than cores only make each other miss their time limit; eight bound the memory of a large machine. */
const MAX_AT_ONCE = Math.min(availableParallelism(), 8);
/** Building a sandbox takes some 100 ms. */
const STARTUP_LIMIT_MS = 10_000;
/** A process can fill some 2 GB a second; what it can have by itself is limited by the kernel, this is for many. */
const MEMORY_CHECK_MS = 100;
/** `nobody`: no process of the system, and not root, for which the kernel does not limit the number of processes. */
const NOBODY_ID = 65_534;
const MAX_INFO_BYTES = 64 * 1024;
const MAX_REASON_CHARS = 500;

const REMEDY = "docs/executors/shell.command.md says what it needs, also in containers";

/**
 * The sandbox of this machine, after having proved that it works. Throws SANDBOX_UNAVAILABLE, which says what is missing:
 * there is no other way to run these programs.
 */
export async function openBubblewrap(path = process.env.PATH ?? ""): Promise<Bubblewrap> {
  const { platform, arch } = process;
  if (platform !== "linux" || !isSupported(arch)) {
    throw unavailable(`bubblewrap sandboxes need Linux on x64 or arm64, this is ${platform} on ${arch}`);
  }
  const bwrap = path
    .split(delimiter)
    .map((folder) => join(folder, "bwrap"))
    .find(isExecutable);
  if (!bwrap) throw unavailable("bwrap is not installed: apt-get install bubblewrap python3");
  if (!canSeeChildren()) throw unavailable("the kernel does not list the children of a process in /proc");
  const filter = seccompFilter(arch);
  const turns = createTurns(MAX_AT_ONCE);
  const sandbox: Bubblewrap = {
    async run(job) {
      await turns.take(job.signal);
      return perform(bwrap, filter, job).finally(turns.giveBack);
    },
  };
  await prove(sandbox);
  return sandbox;
}

/** Whether `program` exists inside. */
export async function hasProgram(sandbox: Bubblewrap, program: string): Promise<boolean> {
  const { exitCode } = await sandbox.run(probe(["/bin/sh", "-c", 'command -v "$0"', program]));
  return exitCode === 0;
}

/** That it starts is not enough: what has to hold inside must be seen to hold. */
async function prove(sandbox: Bubblewrap): Promise<void> {
  const { stdout, stderr, exitCode } = await sandbox.run(probe(["cat", "/proc/self/status"])).catch((error: Error) => {
    throw unavailable(`a sandbox cannot be built: ${error.message}`);
  });
  if (exitCode !== 0) throw unavailable(`nothing can be run in a sandbox: ${reasonIn(stderr)}`);
  for (const line of ["NoNewPrivs:\t1", "Seccomp:\t2", `CapEff:\t${"0".repeat(16)}`, `CapBnd:\t${"0".repeat(16)}`]) {
    if (!stdout.includes(`\n${line}\n`)) throw unavailable(`a sandbox does not hold: "${line}" is not so inside`);
  }
}

const PROBE_BYTES = 64 * 1024;

function probe(argv: string[]): Job {
  return {
    argv,
    files: new Map(),
    answers: false,
    memoryBytes: 256 * 1024 * 1024,
    timeoutMs: STARTUP_LIMIT_MS,
    maxOutputBytes: PROBE_BYTES,
    maxAnswerBytes: PROBE_BYTES,
    signal: new AbortController().signal,
  };
}

async function perform(bwrap: string, filter: Buffer, job: Job): Promise<Ended> {
  const { args, data } = commandLine(job, filter);
  const child = start(bwrap, args, FIRST_DATA_FD + data.length);
  const { pid } = child;
  return new Promise((resolve, reject) => {
    let failure: unknown;
    /** The first reason counts. */
    const end = (reason: unknown) => {
      failure ??= reason;
      if (pid !== undefined) killTree(pid);
    };
    let timer = setTimeout(() => end(crashed(`it did not stand after ${STARTUP_LIMIT_MS} ms`)), STARTUP_LIMIT_MS);
    const onAbort = () => end(job.signal.reason);
    let watch: NodeJS.Timeout | undefined;

    const [info, stdout, stderr, answer] = [
      collect(child, INFO_FD, MAX_INFO_BYTES, () => {}),
      collect(child, 1, job.maxOutputBytes, () => end(tooMuchOutput(job.maxOutputBytes))),
      collect(child, 2, job.maxOutputBytes, () => end(tooMuchOutput(job.maxOutputBytes))),
      collect(child, ANSWER_FD, job.maxAnswerBytes + STARTED.length, () => end(tooMuchOutput(job.maxAnswerBytes))),
    ];
    child.stdio[ANSWER_FD]!.once("data", () => {
      clearTimeout(timer);
      timer = setTimeout(() => end(timedOut(job.timeoutMs)), job.timeoutMs);
      // Not earlier: until the sandbox stands, its first process sees the files of the host.
      watch = setInterval(() => {
        if (usesMoreThan(job.memoryBytes, pid!, WRITABLE_FOLDERS)) end(outOfMemory());
      }, MEMORY_CHECK_MS);
    });
    send(child, 0, job.stdin ?? "");
    for (const [i, content] of data.entries()) send(child, FIRST_DATA_FD + i, content);
    job.signal.addEventListener("abort", onAbort, { once: true });
    if (job.signal.aborted) onAbort();

    child.on("error", (cause) =>
      end(new TaskError(`bwrap cannot be run: ${cause.message}`, { code: UNAVAILABLE, cause })),
    );
    child.on("close", async (code, signal) => {
      clearTimeout(timer);
      clearInterval(watch);
      job.signal.removeEventListener("abort", onAbort);
      const first = /"child-pid": (\d+)/.exec(info().toString())?.[1];
      if (first !== undefined) await untilGone(Number(first));
      const answered = answer();
      if (failure === undefined && answered.length === 0) failure = crashed(reasonIn(stderr()));
      if (failure === undefined && code === null) failure = crashed(`it was ended by ${signal}`);
      if (failure !== undefined) reject(failure);
      else resolve({ exitCode: code!, stdout: stdout(), stderr: stderr(), answer: answered.subarray(STARTED.length) });
    });
  });
}

/** Nothing of the executor goes along: no environment, no descriptors beyond `pipes`, and not the rights of root. */
function start(bwrap: string, args: string[], pipes: number): ChildProcess {
  const inherited = inheritedDescriptors().filter((fd) => fd >= pipes);
  const stdio = Array.from({ length: Math.max(pipes, ...inherited.map((fd) => fd + 1)) }, (_, fd) => {
    if (fd < pipes) return "pipe";
    return inherited.includes(fd) ? nullDevice() : "ignore";
  });
  const asNobody = process.getuid?.() === 0 && { uid: NOBODY_ID, gid: NOBODY_ID };
  return spawn(bwrap, args, { stdio, env: {}, cwd: "/", ...asNobody });
}

/** Descriptors that came with this process and would go on to its children; those Node opens itself do not. */
function inheritedDescriptors(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
        return (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
      } catch {
        return false; // It was the one that listed the folder.
      }
    });
}

/** The same on x64 and arm64; Node does not name it. */
const O_CLOEXEC = 0o2_000_000;

let openNullDevice: number | undefined;
function nullDevice(): number {
  openNullDevice ??= openSync("/dev/null", constants.O_RDWR);
  return openNullDevice;
}

/** A child that closes a descriptor early, or has ended, is no reason to end with it. */
function send(child: ChildProcess, fd: number, content: string | Buffer): void {
  const stream = child.stdio[fd] as NodeJS.WritableStream;
  stream.on("error", () => {});
  stream.end(content);
}

/** Gathers what arrives on `fd`, at most `max` bytes of it; the returned function tells what it was. */
function collect(child: ChildProcess, fd: number, max: number, onTooMuch: () => void): () => Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const stream = child.stdio[fd]!;
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= max) chunks.push(chunk);
    else onTooMuch();
  });
  return () => Buffer.concat(chunks);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What bwrap or a shell said last, as one line that a terminal can be shown. */
function reasonIn(stderr: Buffer): string {
  return (
    stderr
      .toString()
      .replace(/\p{Cc}+/gu, " ")
      .trim()
      .slice(-MAX_REASON_CHARS) || "it says nothing"
  );
}

const UNAVAILABLE = "SANDBOX_UNAVAILABLE";

function unavailable(reason: string): SkeinError {
  return new SkeinError(UNAVAILABLE, `${reason.replace(/\.$/, "")}; ${REMEDY}`);
}

function crashed(reason: string): TaskError {
  return new TaskError(`The sandbox failed: ${reason}`, { code: "SANDBOX_CRASHED" });
}

/** Time depends on how busy the machine is, so it may be tried again; the others would only happen again. */
function timedOut(limitMs: number): TaskError {
  return new TaskError(`The sandbox was stopped after ${limitMs} ms`, { code: "SANDBOX_TIMEOUT" });
}

function outOfMemory(): TaskError {
  return new NonRetryableError("The sandbox ran out of memory", { code: "SANDBOX_MEMORY" });
}

function tooMuchOutput(limitBytes: number): TaskError {
  return new NonRetryableError(`The sandbox was stopped: it wrote more than ${limitBytes} bytes to one stream`, {
    code: "SANDBOX_OUTPUT",
  });
}
