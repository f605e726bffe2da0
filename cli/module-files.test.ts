import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { filesOfModules, stateOf } from "./module-files.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

const found = (...modules: string[]) =>
  filesOfModules(modules, folder)
    .map((path) => relative(folder, path))
    .sort();

it("finds what a module imports, however deep, in a circle, and whatever way it is written", async () => {
  await write(
    "app/main.ts",
    `import { a } from "./a.js"; // which is a.ts
     export * from '../lib/index.mjs';
     const data = require("./data.json"), later = await import("./later");
     import "./missing.js";
     import { z } from "zod"; import fs from "node:fs";`,
  );
  await write("app/a.ts", 'import "./main.ts"');
  await write("lib/index.mjs", 'import "../app/deep"');
  await write("app/deep/index.ts", 'import "../../node_modules/x/y.js"; import "../../../outside.mjs"');
  await write("app/data.json", '{ "from": "./not-a-module" }');
  await write("app/later.mts", "");
  await write("node_modules/x/y.js", "");
  expect(found("app/main.ts")).toEqual([
    "app/a.ts",
    "app/data.json",
    "app/deep/index.ts",
    "app/later.mts",
    "app/main.ts",
    "app/missing.js",
    "lib/index.mjs",
  ]);
});

it("lists several modules once, and those that are packages or not there as they are named", async () => {
  await write("one.mjs", 'import "./two.mjs"');
  await write("two.mjs", "");
  expect(found("two.mjs", "one.mjs", "no-such-package")).toEqual(["no-such-package", "one.mjs", "two.mjs"]);
});

it("sees that a file was written, came or went", async () => {
  const path = await write("changing.mjs", "1");
  const files = [path, join(folder, "coming.mjs")];
  const states = [stateOf(files)];
  expect(stateOf(files)).toBe(states[0]);
  await write("changing.mjs", "22");
  states.push(stateOf(files));
  await write("coming.mjs", "");
  states.push(stateOf(files));
  await rm(path);
  states.push(stateOf(files));
  expect(new Set(states).size).toBe(4);
});
