import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockFolder } from "./data-dir.ts";

describe("lockFolder", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "skein-lock-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("creates the folder and locks it until it is released", async () => {
    const inner = join(folder, "a", "b");
    const lock = await lockFolder(inner);
    await expect(lockFolder(inner)).rejects.toMatchObject({ code: "DATA_DIR_LOCKED" });
    await lock.release();
    await lock.release();
    await (await lockFolder(inner)).release();
    expect(await readdir(inner)).toEqual([]);
  });

  it("names the process that has it, and the remedy", async () => {
    await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(new RegExp(`process ${process.pid}.*SKEIN_DATA_DIR`));
  });

  it("locks out other processes while their lock's owner lives, and no longer", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    await writeFile(join(folder, "lock-child"), JSON.stringify({ pid: child.pid, started: null }));
    await expect(lockFolder(folder)).rejects.toThrow(`process ${child.pid}`);
    child.kill("SIGKILL");
    await once(child, "exit");
    await (await lockFolder(folder)).release();
  });

  it("takes over from a process that is dead, though another has its pid now", async () => {
    await writeFile(join(folder, "lock-old"), JSON.stringify({ pid: process.pid, started: "1" }));
    await lockFolder(folder);
  });

  it("takes over what a power cut left unreadable", async () => {
    for (const [name, content] of Object.entries({ "lock-a": "", "lock-b": "{", "lock-c": "\0\0\0" })) {
      await writeFile(join(folder, name), content);
    }
    await lockFolder(folder);
  });

  it("is given to at most one of twenty that want it at once, dead owners or not", async () => {
    for (let round = 0; round < 5; round++) {
      await writeFile(join(folder, `lock-${round}`), JSON.stringify({ pid: 2 ** 22 + 1, started: null }));
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
      const locks = results.filter((result) => result.status === "fulfilled").map((result) => result.value);
      expect(locks.length).toBeLessThanOrEqual(1);
      await locks[0]?.release();
    }
  });
});
