/** The conformance kit certifies every executor of ours, at one deployment, each in a namespace of its own. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { cases } from "../../agents/testing_agent/certify/cases.ts";
import { certify } from "../../agents/testing_agent/certify/main.ts";
import { createClient } from "../../sdk/client.ts";
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
    expect(await verdictOn(typescript, "queue", { AMQP_URL: broker })).toEqual({ failures: [], doors: ["queue"] });
  });

  it("the TypeScript runtime over HTTP alone", async ({ expect }) => {
    expect(await verdictOn(typescript, "poll")).toEqual({ failures: [], doors: ["poll"] });
  });

  const hasPython = existsSync(pythonClient) && findOnPath("python3") !== undefined;
  it.skipIf(!hasPython)("the Python client", async ({ expect }) => {
    const env = { PYTHONPATH: pythonClient };
    expect(await verdictOn(python, "python", env)).toEqual({ failures: [], doors: ["poll"] });
  });
});

/** Plays all cases: those that failed, and how the executor took its work. */
async function verdictOn(command: string[], namespace: string, env: Record<string, string> = {}) {
  const { PATH = "", HOME = "" } = process.env;
  const { key } = await deployment.client().keys.create({
    name: "certify",
    namespace,
    scopes: ["runs:read", "runs:write", "work"],
  });
  const connection = { url: deployment.orchestrators[0]!.url, apiKey: key };
  const { results } = await certify({
    ...connection,
    command,
    env: { PATH, HOME, LOG_LEVEL: "warn", ...env },
    patienceMs: PATIENCE_MS,
    log: () => {},
  });
  if (results.length !== cases.length) throw new Error("Some cases were not played");
  const agents = await createClient(connection).agents.list();
  return {
    failures: results.filter(({ failure }) => failure),
    doors: [...new Set(agents.data.map(({ door }) => door))],
  };
}
