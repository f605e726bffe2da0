/** The conformance kit certifies every executor of ours, at one deployment, each in a namespace of its own. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { cases } from "../../agents/testing_agent/certify/cases.ts";
import { certify } from "../../agents/testing_agent/certify/certify.ts";
import { type Deployment, startDeployment } from "../deployment.ts";
import { findOnPath } from "../services/service.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = `${root}dist/cli/main.js`;
const typescript = [
  process.execPath,
  main,
  "executor",
  "--import",
  `${root}dist/agents/testing_agent/certify/executor.js`,
];
const python = ["python3", `${root}test/certify/certify_executor.py`];
const pythonClient = `${root}clients/python`;

const DEADLINE_MS = 240_000;
/** Others test on this machine at the same time. */
const PATIENCE_MS = 40_000;

let deployment: Deployment;
let broker: string;

beforeAll(async () => {
  const { databaseUrl } = await freshDatabase();
  broker = await amqpUrl();
  deployment = await startDeployment({ databaseUrl, amqpUrl: broker, executors: 0 });
});
afterAll(() => deployment?.stop());

describe.concurrent("the conformance kit certifies", { timeout: DEADLINE_MS }, () => {
  it("the TypeScript runtime over RabbitMQ", async ({ expect }) => {
    expect(await failuresOf("queue", typescript, { AMQP_URL: broker })).toEqual([]);
  });

  it("the TypeScript runtime over HTTP alone", async ({ expect }) => {
    expect(await failuresOf("poll", typescript, {})).toEqual([]);
  });

  const hasPython = existsSync(pythonClient) && findOnPath("python3") !== undefined;
  it.skipIf(!hasPython)("the Python client", async ({ expect }) => {
    expect(await failuresOf("python", python, { PYTHONPATH: pythonClient })).toEqual([]);
  });
});

/** Plays all cases; answers the rows of those that failed. */
async function failuresOf(namespace: string, command: string[], env: Record<string, string>): Promise<object[]> {
  const { PATH = "", HOME = "" } = process.env;
  const { key } = await deployment.client().keys.create({
    name: "certify",
    namespace,
    scopes: ["runs:read", "runs:write", "work"],
  });
  const { passed, results } = await certify({
    url: deployment.orchestrators[0]!.url,
    apiKey: key,
    command,
    env: { PATH, HOME, LOG_LEVEL: "warn", ...env },
    patienceMs: PATIENCE_MS,
    log: () => {},
  });
  if (passed + results.filter(({ failure }) => failure).length !== cases.length) throw new Error("Cases are missing");
  return results.filter(({ failure }) => failure);
}
