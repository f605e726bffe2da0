/** A process and all that descend from it, as Linux shows them in /proc. */

import { readdirSync, readFileSync, statfsSync } from "node:fs";

/** Whether this kernel tells the children of a process. */
export function canSeeChildren(): boolean {
  return read(`/proc/${process.pid}/task/${process.pid}/children`) !== undefined;
}

/** What an inode and its name take of the kernel's memory, about; a file system in memory has millions of them to give. */
const INODE_BYTES = 1024;

/**
 * Bytes of memory that nothing but the descendants of `root` needs; pages they share count once for each. With it what
 * the number of files takes in `folders`, file systems in memory that the descendants see; their contents have limits.
 */
export function memoryOf(root: number, folders: readonly string[]): number {
  const [, ...pids] = treeOf(root);
  let bytes = 0;
  for (const pid of pids) {
    for (const [, kibibytes] of (read(`/proc/${pid}/status`) ?? "").matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)) {
      bytes += Number(kibibytes) * 1024;
    }
  }
  return bytes + INODE_BYTES * folders.reduce((sum, folder) => sum + inodesIn(folder, pids), 0);
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

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {} // It has ended by itself.
}

function treeOf(root: number): number[] {
  const pids = [root];
  for (const pid of pids) {
    for (const thread of list(`/proc/${pid}/task`)) {
      pids.push(...(read(`/proc/${pid}/task/${thread}/children`) ?? "").split(" ").filter(Boolean).map(Number));
    }
  }
  return pids;
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
