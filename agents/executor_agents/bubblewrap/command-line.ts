/** What `bwrap` is told: an empty machine of read-only programs, one small writable folder, and limits. */

import { lstatSync, readlinkSync } from "node:fs";

/** Where the code works, and the only place it can write to. Empty at the start, gone at the end. */
export const WORK_FOLDER = "/tmp";
/** Where what Skein itself brings along lies, read-only. */
export const OWN_FOLDER = "/skein";
/** The descriptor on which a program answers, beside its output. */
export const ANSWER_FD = 3;
/** On which bwrap itself tells what it has started, as JSON. */
export const INFO_FD = 4;
/** From here on bwrap is sent what it needs, each on a descriptor of its own. */
export const FIRST_DATA_FD = 5;
/** The first byte that arrives on the answer's descriptor says that the sandbox stands, and the limits with it. */
export const STARTED = "+";

const USER_ID = "1000";
const PASSWD = `sandbox:x:${USER_ID}:${USER_ID}::${WORK_FOLDER}:/bin/sh\n`;
const GROUP = `sandbox:x:${USER_ID}:\n`;
const ENVIRONMENT = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  HOME: WORK_FOLDER,
  TMPDIR: WORK_FOLDER,
  LANG: "C.UTF-8",
};
/** Beside /usr, where distributions of the last years have everything; then these are links into it. */
const SYSTEM_FOLDERS = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/** Needed to find programs and libraries, and no secret: all that is there of the host's /etc. */
const SYSTEM_FILES = ["/etc/alternatives", "/etc/ld.so.cache"];

const SHARED_MEMORY_FOLDER = "/dev/shm";
/** All that can be written to; both are file systems of their own, in memory. */
export const WRITABLE_FOLDERS = [WORK_FOLDER, SHARED_MEMORY_FOLDER];
const WORK_BYTES = 64 * 1024 * 1024;
/** For semaphores; Python's multiprocessing needs it. */
const SHARED_MEMORY_BYTES = 16 * 1024 * 1024;
/** Threads count, too. */
const MAX_PROCESSES = 64;
const MAX_OPEN_FILES = 128;
/** Above that of the executor, which has to keep its leases whatever the code does. */
const NICENESS = 10;

/** Runs as the sandbox's first program: says that it stands, sets the limits that hold inside, becomes `"$@"`. */
const launch = (keepsAnswer: boolean, limits: string) =>
  `printf ${STARTED} >&${ANSWER_FD}; ${keepsAnswer ? "" : `exec ${ANSWER_FD}>&-; `}` +
  `exec nice -n ${NICENESS} prlimit ${limits} -- "$@"`;

export interface Program {
  /** The program and its arguments, as seen inside. */
  argv: readonly string[];
  /** Contents by absolute path, inside the two folders above. */
  files: ReadonlyMap<string, string>;
  /** Leaves the answer's descriptor open for the program. */
  answers: boolean;
  /** Of address space, for each process. */
  memoryBytes: number;
}

export interface CommandLine {
  args: string[];
  /** What is to be sent on the descriptors from `FIRST_DATA_FD` on, in order. */
  data: (string | Buffer)[];
}

/** The arguments of `bwrap`. Each file costs a descriptor: no content stands in an argument or comes to lie on the disk. */
export function commandLine(program: Program, filter: Buffer): CommandLine {
  const data: CommandLine["data"] = [];
  const descriptor = (content: string | Buffer) => String(FIRST_DATA_FD + data.push(content) - 1);
  const file = (path: string, content: string) => ["--file", descriptor(content), path];
  const limits = [
    `--as=${program.memoryBytes}`,
    // Not 0: a core pattern that is a program of the host would still be run, with 1 it is not.
    "--core=1",
    `--fsize=${WORK_BYTES}`,
    "--memlock=0",
    `--nofile=${MAX_OPEN_FILES}`,
    `--nproc=${MAX_PROCESSES}`,
  ].join(" ");
  const args = [
    ...["user", "ipc", "pid", "net", "uts", "cgroup"].map((namespace) => `--unshare-${namespace}`),
    ...["--uid", USER_ID, "--gid", USER_ID, "--hostname", "sandbox"],
    ...["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"],
    ...Object.entries(ENVIRONMENT).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--ro-bind", "/usr", "/usr"],
    ...SYSTEM_FOLDERS.flatMap(systemFolder),
    ...SYSTEM_FILES.flatMap((path) => ["--ro-bind-try", path, path]),
    ...file("/etc/passwd", PASSWD),
    ...file("/etc/group", GROUP),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["--size", String(SHARED_MEMORY_BYTES), "--tmpfs", SHARED_MEMORY_FOLDER, "--remount-ro", "/dev"],
    ...["--size", String(WORK_BYTES), "--tmpfs", WORK_FOLDER],
    ...[...program.files].flatMap(([path, content]) => file(path, content)),
    ...["--remount-ro", "/", "--chdir", WORK_FOLDER, "--seccomp", descriptor(filter), "--info-fd", String(INFO_FD)],
    ...["--", "/bin/sh", "-c", launch(program.answers, limits), "sh", ...program.argv],
  ];
  return { args, data };
}

function systemFolder(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return [];
  return stat.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : ["--ro-bind", path, path];
}
