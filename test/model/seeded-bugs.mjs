/**
 * Does the comparison with the model find bugs? `node test/model/seeded-bugs.mjs` puts one at a time into a copy of the
 * sources and expects the comparison to fail. Takes some minutes; not part of `npm test`.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const left = /^(?:node_modules|\.git|\.skein|dist)$/;

/** What is wrong in each: file, what stands there, and what stands there instead. */
/** @type {Record<string, [string, string, string]>} */
const bugs = {
  "a count of needs is one too high": ["core/join.ts", "completed >= count", "completed > count"],
  "a retry too many": ["core/retry.ts", "failures >= policy.maxAttempts", "failures > policy.maxAttempts"],
  "a false condition starts": ["core/activation.ts", "!evaluateCondition(condition", "evaluateCondition(condition"],
  "an open map is taken for closed": [
    "core/map.ts",
    "const isComplete = tally.isClosed ||",
    "const isComplete = true ||",
  ],
  "the rest of a join is cancelled though another task waits for it": [
    "store/upkeep.ts",
    "d.id = any(t.dependants) and (d.status = 'pending') is not false",
    "d.id = any(t.dependants) and (d.status = 'cancelled') is not false",
  ],
  "the first that completed is undone first": [
    "core/compensation.ts",
    "b.task.finishedAt - a.task.finishedAt",
    "a.task.finishedAt - b.task.finishedAt",
  ],
};

const folder = mkdtempSync(join(tmpdir(), "skein-seeded-"));
let missed = 0;
try {
  cpSync(root, folder, {
    recursive: true,
    filter: (path) =>
      !path
        .slice(root.length)
        .split("/")
        .some((part) => left.test(part)),
  });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const [name, [file, right, wrong]] of Object.entries(bugs)) {
    const path = join(folder, file);
    const source = readFileSync(path, "utf8");
    if (!source.includes(right)) throw new Error(`${file} has no "${right}" any more; change this script with it.`);
    writeFileSync(path, source.replace(right, wrong));
    const isFound = compare() !== 0;
    writeFileSync(path, source);
    console.log(`${isFound ? "found " : "MISSED"}  ${name}`);
    if (!isFound) missed++;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = missed === 0 ? 0 : 1;

/** The exit code of the comparison; its tests stop at the first divergence. */
function compare() {
  const env = { ...process.env, SKEIN_TEST_SERVICES: "postgres", SKEIN_MODEL_SHRINK: "0" };
  const args = ["vitest", "run", "--project", "services", "test/model"];
  return spawnSync("npx", args, { cwd: folder, env, stdio: "ignore" }).status;
}
