/** A handler that blocks its thread for three leases: it keeps its lease, and its neighbours in the process keep theirs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, startDeployment } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const LEASE_MS = 3_000;

describe("a handler that blocks its thread", () => {
  let deployment: Deployment;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({
      databaseUrl,
      amqpUrl: await amqpUrl(),
      executorArgs: () => ["--import", "./test/e2e/fixtures/blocking.mjs"],
    });
  });
  afterAll(() => deployment?.stop());

  it("keeps its lease for three leases, and so do its neighbours", async () => {
    const client = deployment.client();
    const run = await client.runs.submit(
      {
        definition: {
          name: "blocked",
          defaults: { heartbeat: `${LEASE_MS}ms`, retry: { max_attempts: 1 } },
          tasks: [
            { id: "neighbour", capability: "core.sleep", input: { ms: LEASE_MS * 4 } },
            { id: "other", capability: "core.sleep", input: { ms: LEASE_MS } },
            { id: "blocker", capability: "test.block", input: { ms: LEASE_MS * 3 } },
          ],
        },
      },
      { wait: 30 },
    );
    expect(run).toMatchObject({ status: "completed", counts: { completed: 3 } });
    for (const { attempt, lost_leases } of (await client.runs.tasks(run.id)).data) {
      expect({ attempt, lost_leases }).toEqual({ attempt: 1, lost_leases: 0 });
    }
  });
});
