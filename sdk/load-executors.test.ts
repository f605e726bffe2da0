import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadExecutors } from "./load-executors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function moduleOf(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const executor = (capability: string) =>
  `{ capability: "${capability}", run() {}, parseInput: (x) => x, parseOutput: (x) => x }`;

describe("a module of executors", () => {
  it("gives what it exports, alone or in lists, each once", async () => {
    const path = await moduleOf(
      "good.mjs",
      `export const a = ${executor("a")};
       export const list = [a, ${executor("b")}];
       export const unrelated = 5, nothing = null;
       export default ${executor("c")};`,
    );
    expect((await loadExecutors(path)).map(({ capability }) => capability).sort()).toEqual(["a", "b", "c"]);
  });

  it("is refused when it exports none", async () => {
    const path = await moduleOf("none.mjs", "export const x = { capability: 'x' };");
    await expect(loadExecutors(path)).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("exports no executor"),
    });
  });

  it("is refused with the reason when it throws", async () => {
    const path = await moduleOf("throws.mjs", "throw new Error('no database');");
    await expect(loadExecutors(path)).rejects.toThrow(/throws\.mjs: no database/);
  });

  it("that does not exist is refused", async () => {
    await expect(loadExecutors("./no-such-file.mjs")).rejects.toThrow(/neither such a file nor such a package/);
  });
});
