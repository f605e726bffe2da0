import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Embedded } from "../embedded.ts";
import { type InvokeOptions, invoke, startTestSystem } from "./invoke.suite.ts";

let system: Embedded;
let folder: string;
let run: string;

const skein = (args: string[], options: InvokeOptions = {}) =>
  invoke(args, { ...options, env: { SKEIN_URL: system.url } });

beforeAll(async () => {
  [system, folder] = await Promise.all([startTestSystem(), mkdtemp(join(tmpdir(), "skein-cli-"))]);
  const tasks = [
    { id: "text", capability: "file.write", input: { path: "out/a.txt", text: "one\n\u001b[31mtwo" } },
    { id: "bytes", capability: "file.write", input: { path: "b", base64: "AP8=" } },
  ];
  const file = join(folder, "files.json");
  await writeFile(file, JSON.stringify({ name: "files", tasks }));
  const { stdout } = await skein(["run", file, "--json"]);
  run = (JSON.parse(stdout) as { id: string }).id;
});
afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("skein runs artifacts", () => {
  it("lists the files of a run", async () => {
    const { code, stdout } = await skein(["runs", "artifacts", run]);
    expect([code, stdout.split("\n")[0]]).toEqual([0, expect.stringMatching(/^PATH +TYPE +BYTES +WRITTEN$/)]);
    expect(stdout).toMatch(/^b +application\/octet-stream +2 .*\nout\/a.txt +text\/plain; charset=utf-8 +12 /m);
    const listed = JSON.parse((await skein(["runs", "artifacts", run, "--prefix", "out/", "--json"])).stdout);
    expect(listed).toMatchObject([{ path: "out/a.txt", size: 12 }]);
  });

  it("prints or writes the content of one, as it is but for what a terminal would obey", async () => {
    const text = ["runs", "artifacts", run, "out/a.txt"];
    expect((await skein(text)).stdout).toBe("one\n\u001b[31mtwo");
    const terminal = { columns: 80, rows: 24 };
    expect((await skein(text, { terminal })).stdout).toBe("one\n\\u001b[31mtwo\n");
    const target = join(folder, "b");
    expect((await skein(["runs", "artifacts", run, "b", "--out", target])).code).toBe(0);
    expect([...(await readFile(target))]).toEqual([0, 255]);
    expect(JSON.parse((await skein(["runs", "artifacts", run, "b", "--json"])).stdout)).toMatchObject({
      path: "b",
      base64: "AP8=",
    });
    expect((await skein(["runs", "artifacts", run, "b"], { terminal })).code).toBe(2);
  });

  it("refuses what makes no sense", async () => {
    expect((await skein(["runs", "artifacts", run, "--out", "x"])).code).toBe(2);
    expect((await skein(["runs", "artifacts", run, "b", "--prefix", "x"])).code).toBe(2);
    const missing = await skein(["runs", "artifacts", run, "nothing"]);
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("ARTIFACT_NOT_FOUND")]);
  });
});
