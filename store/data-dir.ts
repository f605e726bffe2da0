/** A lock on the data folder of the embedded database: two processes in it would destroy it. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SkeinError } from "../core/errors.ts";

export interface FolderLock {
  release(): Promise<void>;
}

/** Two that begin at the same moment both step back, so each tries again a few times after a random pause. */
const MAX_TRIES = 5;
const MAX_PAUSE_MS = 100;

/**
 * Takes the folder for this process, or throws DATA_DIR_LOCKED naming who has it. Whoever wants it first puts down a file
 * of their own and then looks for others: of two, at least one sees the other. No file ever changes hands, so one whose
 * owner is dead can be deleted by anybody at any time.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const mine = await announce(folder);
    const other = await findOther(folder, mine);
    const release = () => rm(join(folder, mine), { force: true });
    if (!other) return { release };
    await release();
    if (attempt === MAX_TRIES) throw locked(folder, other);
    await sleep(Math.random() * MAX_PAUSE_MS);
  }
}

const PREFIX = "lock-";

interface Owner {
  pid: number;
  started: string | null;
}

/** Answers the file's name. It is renamed into place, so that nobody ever reads half of it. */
async function announce(folder: string): Promise<string> {
  const owner: Owner = { pid: process.pid, started: await startTime(process.pid) };
  const id = randomUUID();
  await writeFile(join(folder, id), JSON.stringify(owner));
  await rename(join(folder, id), join(folder, PREFIX + id));
  return PREFIX + id;
}

/** The living owner of another lock; files of dead ones are deleted on the way. */
async function findOther(folder: string, mine: string): Promise<Owner | undefined> {
  const names = await readdir(folder);
  for (const name of names) {
    if (!name.startsWith(PREFIX) || name === mine) continue;
    const owner = await readOwner(join(folder, name));
    if (owner && (await isAlive(owner))) return owner;
    await rm(join(folder, name), { force: true });
  }
  return undefined;
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch {
    // Released by now, or emptied by a power cut.
    return undefined;
  }
}

/** A pid can be used again after a restart, so its start time has to match too, where the system tells it. */
async function isAlive(owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const started = await startTime(owner.pid);
  return started === null || owner.started === null || started === owner.started;
}

/** Field 22 of /proc/<pid>/stat, proc(5): start time in ticks after boot. Null where there is no /proc. */
async function startTime(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function locked(folder: string, owner: Owner): SkeinError {
  return new SkeinError(
    "DATA_DIR_LOCKED",
    `The data directory ${folder} is in use by process ${owner.pid}. Stop it, or choose another one with SKEIN_DATA_DIR.`,
  );
}
