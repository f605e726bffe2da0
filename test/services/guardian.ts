import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A folder that disappears with this process, together with what was started for it. */
export interface Guarded {
  folder: string;
  /** Has the shell line `undo` run when this process ends before `release`, in whatever way. */
  guard(name: string, undo: string): Promise<void>;
  release(name: string): Promise<void>;
  /** Deletes the folder; ends what is still guarded. */
  close(): Promise<void>;
}

/**
 * Waits for its input to end, which the kernel sees to even if this process is killed by SIGKILL, or exits at once as
 * Vitest does on Ctrl-C: neither exit handlers nor signal handlers cover both. A pause lets ended servers let go of their files.
 */
const script = `
cat > /dev/null
for undo in "$1"/undo/*; do
  [ -f "$undo" ] && sh "$undo" && slow=1
done
[ -n "$slow" ] && sleep 1
rm -rf "$1"
`;

/** Creates a guarded folder in `parent`, which must exist. */
export async function guardedFolder(parent: string): Promise<Guarded> {
  const folder = await mkdtemp(join(parent, "skein-services-"));
  // A server that runs as another user must reach its own folder inside.
  await chmod(folder, 0o711);
  await mkdir(join(folder, "undo"));
  // Detached: Ctrl-C in a terminal goes to every process of the group, and the guardian has to outlive it.
  const guardian = spawn("sh", ["-c", script, "guardian", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const gone = once(guardian, "exit");
  guardian.unref();
  return {
    folder,
    guard: (name, undo) => writeFile(join(folder, "undo", name), undo),
    release: (name) => rm(join(folder, "undo", name), { force: true }),
    async close() {
      guardian.ref();
      guardian.stdin.end();
      await gone;
    },
  };
}
