/** What processes cost, read from /proc: CPU seconds of whole process trees, and the largest resident size. Linux only. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** The first process of each tree, by role. */
export type Trees = Record<string, readonly number[]>;

/** CPU seconds by role, and `machine` for everything that ran on it, ours or not. */
export type CpuSeconds = Record<string, number>;

/** USER_HZ: the unit of /proc, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Process {
  pid: number;
  parent: number;
  /** Its own time, and that of its children that have ended: the backends of PostgreSQL come and go. */
  seconds: number;
}

export function cpuSeconds(trees: Trees): CpuSeconds {
  const processes = allProcesses();
  const roles = rolesOf(processes, trees);
  const seconds: CpuSeconds = Object.fromEntries(Object.keys(trees).map((role) => [role, 0]));
  for (const { pid, seconds: used } of processes) {
    const role = roles.get(pid);
    if (role !== undefined) seconds[role]! += used;
  }
  seconds.machine = machineSeconds();
  return seconds;
}

export function difference(before: CpuSeconds, after: CpuSeconds): CpuSeconds {
  return Object.fromEntries(Object.entries(after).map(([role, seconds]) => [role, seconds - (before[role] ?? 0)]));
}

/** Begins a new maximum for `peakMegabytes`. */
export function forgetPeaks(pids: readonly number[]): void {
  for (const pid of pids) {
    // 5 is the documented code for "reset the peak"; a process that is not ours to reset keeps its old one.
    ignoreGone(() => writeFileSync(`/proc/${pid}/clear_refs`, "5"));
  }
}

/** The largest resident size since the start of the process or `forgetPeaks`, in MB of 10⁶ bytes. */
export function peakMegabytes(pid: number): number {
  const status = ignoreGone(() => readFileSync(`/proc/${pid}/status`, "utf8")) ?? "";
  const kibibytes = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return (kibibytes * 1_024) / 1e6;
}

function rolesOf(processes: readonly Process[], trees: Trees): Map<number, string> {
  const roles = new Map(Object.entries(trees).flatMap(([role, pids]) => pids.map((pid) => [pid, role] as const)));
  // A child may stand before its parent, since numbers are used again: until a round finds no more.
  for (let found = true; found; ) {
    found = false;
    for (const { pid, parent } of processes) {
      const role = roles.get(parent);
      // The client is the parent of everything it started, but that has roles of its own.
      if (role === undefined || roles.has(pid)) continue;
      roles.set(pid, role);
      found = true;
    }
  }
  return roles;
}

function allProcesses(): Process[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => readProcess(Number(pid)) ?? []);
}

/** See proc(5), /proc/pid/stat: the name in parentheses may hold anything, so fields are counted from behind it. */
function readProcess(pid: number): Process | undefined {
  const stat = ignoreGone(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [parent, ...times] = [1, 11, 12, 13, 14].map((i) => Number(fields[i]));
  return { pid, parent: parent!, seconds: times.reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND };
}

/** User, nice, system, irq, softirq and stolen time: all but idle and waiting for the disk. */
function machineSeconds(): number {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const fields = first.trim().split(/\s+/).slice(1).map(Number);
  return [0, 1, 2, 5, 6, 7].reduce((sum, i) => sum + (fields[i] ?? 0), 0) / TICKS_PER_SECOND;
}

/** Processes end while we look at them. */
function ignoreGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
