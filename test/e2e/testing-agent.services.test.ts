/** The testing agent at separate processes on real servers: all of it, twice at once, as the command that people use. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { scenarios } from "../../agents/testing_agent/scenarios.ts";
import { adminKey, type Deployment, startDeployment } from "../deployment.ts";
import { amqpUrl, freshDatabase, redisUrl } from "../services.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

let deployment: Deployment;

beforeAll(async () => {
  const { databaseUrl } = await freshDatabase();
  deployment = await startDeployment({
    databaseUrl,
    amqpUrl: await amqpUrl(),
    orchestrators: 2,
    executors: 2,
    env: { REDIS_URL: await redisUrl(), LOG_LEVEL: "warn" },
  });
});
afterAll(() => deployment?.stop());

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** `skein test`, from the build. */
function skeinTest(url: string, args: string[] = [], apiKey = adminKey): Promise<Ended> {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, SKEIN_API_KEY: apiKey };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["dist/cli/main.js", "test", "--url", url, ...args],
      { cwd: root, env },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

it("passes, twice at once, through two orchestrators", { timeout: 240_000 }, async () => {
  const [table, json] = await Promise.all([
    skeinTest(deployment.orchestrators[0]!.url),
    skeinTest(deployment.orchestrators[1]!.url, ["--json"]),
  ]);
  expect(table.stdout.split("\n").filter((line) => !line.startsWith("✓"))).toEqual([
    `All ${scenarios.length} scenarios passed at ${deployment.orchestrators[0]!.url}.`,
    "",
  ]);
  expect(table).toMatchObject({ code: 0, stderr: "" });
  const { results, ...rest } = JSON.parse(json.stdout) as { results: { status: string; name: string }[] };
  expect(results.filter(({ status }) => status !== "passed")).toEqual([]);
  expect(rest).toMatchObject({ passed: scenarios.length, failed: 0 });
  expect(json.code).toBe(0);
});

it("exits with 1 where it is refused, and 3 where nobody answers; no output has a key in it", async () => {
  const url = deployment.orchestrators[0]!.url;
  const refused = await skeinTest(url, ["--only", "hello-diamond"], "skk_a-key-that-nobody-has");
  expect(refused.code).toBe(1);
  expect(refused.stdout).toContain("failed    UNAUTHENTICATED");
  expect(refused.stdout).toContain('-H "authorization: Bearer $SKEIN_API_KEY"');
  expect(refused.stdout + refused.stderr).not.toContain("nobody-has");
  expect(await skeinTest("http://127.0.0.1:1")).toMatchObject({ code: 3, stdout: "" });
});
