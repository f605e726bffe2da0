import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { version } from "../version.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

it("runs in a clone as the README says: npx skein", async () => {
  const { stdout } = await promisify(execFile)("npx", ["--no", "--", "skein", "--version"], { cwd: root });
  expect(stdout.trim()).toBe(version);
});
