/** A process and all that descend from it, as Linux shows them in /proc. */

import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Whether this kernel tells the children of a process. */
export function canSeeChildren(): boolean {
  return read(`/proc/${process.pid}/task/${process.pid}/children`) !== undefined;
}

/** What an inode and its name take of the kernel's memory, about; a file system in memory has millions of them to give. */
const INODE_BYTES = 1024;

/**
 * Whether the descendants of `root` use more memory than `limit` bytes. With it counts what the number of files takes in
 * `folders`, file systems in memory that the descendants see; their contents have limits of their own.
 */
export function usesMoreThan(limit: number, root: number, folders: readonly string[]): boolean {
  const [, ...pids] = treeOf(root);
  const forFiles = INODE_BYTES * folders.reduce((sum, folder) => sum + inodesIn(folder, pids), 0);
  // After a fork nearly all pages are shared, and a simple sum counts them twice; telling them apart takes longer.
  return forFiles + sumOf(pids, resident) > limit && forFiles + sumOf(pids, proportional) > limit;
}

function sumOf(pids: readonly number[], bytesOf: (pid: number) => number): number {
  return pids.reduce((sum, pid) => sum + bytesOf(pid), 0);
}

/** Pages of files are the system's to take back. */
function resident(pid: number): number {
  return kibibytesIn(read(`/proc/${pid}/status`), /^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm) * 1024;
}

/** Of a page that several processes share, each counts its part. */
function proportional(pid: number): number {
  const summary = read(`/proc/${pid}/smaps_rollup`);
  if (summary === undefined) return resident(pid);
  return kibibytesIn(summary, /^Pss_(?:Anon|Shmem):\s+(\d+) kB$/gm) * 1024;
}

function kibibytesIn(text = "", pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, number]) => sum + Number(number), 0);
}

/** As the youngest sees it that can be asked: one may have ended just now. */
function inodesIn(folder: string, pids: readonly number[]): number {
  for (const pid of pids.toReversed()) {
    try {
      const { files, ffree } = statfsSync(`/proc/${pid}/root${folder}`);
      return files - ffree;
    } catch {}
  }
  return 0;
}

/**
 * Ends them all. The first of a PID namespace takes everything in it along, seen here or not. `root` is stopped first: a
 * child it made after the look, and before the kill, would be left.
 */
export function killTree(root: number): void {
  signal(root, "SIGSTOP");
  for (const pid of treeOf(root)) signal(pid, "SIGKILL");
}

const GONE_CHECK_MS = 5;

/**
 * Resolves when the first process of a PID namespace has ended, and with it all others: the kernel ends them before it is
 * done with the first, which is after `bwrap` itself has ended.
 */
export async function untilGone(first: number): Promise<void> {
  while (isFirstInside(first)) await delay(GONE_CHECK_MS);
}

/** A zombie is one that nobody has asked about yet. */
function isFirstInside(pid: number): boolean {
  const status = read(`/proc/${pid}/status`) ?? "";
  return /^NSpid:.*\t1$/m.test(status) && !/^State:\t[ZX]/m.test(status);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {} // It has ended by itself.
}

function treeOf(root: number): number[] {
  const pids = [root];
  for (const pid of pids) pids.push(...childrenOf(pid));
  return pids;
}

function childrenOf(pid: number): number[] {
  return list(`/proc/${pid}/task`).flatMap((thread) =>
    (read(`/proc/${pid}/task/${thread}/children`) ?? "").split(" ").filter(Boolean).map(Number),
  );
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
