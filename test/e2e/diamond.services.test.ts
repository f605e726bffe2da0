/** One diamond through real processes: what its logs tell, step by step, and what they must never tell. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogLineBody } from "../../core/protocol/runs.ts";
import { adminKey, type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const secret = "an-input-that-nobody-may-log";
const steps = ["publish", "deliver", "claim", "start", "report", "finish"];

describe("the story of a diamond, told by separate processes", () => {
  let deployment: Deployment;
  let runId: string;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    deployment = await startDeployment({ databaseUrl, amqpUrl: await amqpUrl(), executors: 2 });
    const input = { secret };
    const run = await deployment.client().runs.submit(
      {
        definition: {
          name: "diamond",
          tasks: [
            { id: "a", capability: "core.echo", input },
            { id: "b", needs: ["a"], capability: "core.echo", input },
            { id: "c", needs: ["a"], capability: "core.echo", input },
            { id: "d", needs: ["b", "c"], capability: "core.echo", input },
          ],
        },
        inputs: { secret },
      },
      { wait: 30 },
    );
    expect(run.status).toBe("completed");
    runId = run.id;
  });
  afterAll(() => deployment?.stop());

  it("shows every step of every task in the run's logs, in order, with run, task, attempt and agent", async () => {
    const lines = await allLogs(deployment, runId);
    expect(lines[0]).toMatchObject({ step: "submit", run_id: runId });
    expect(lines.at(-1)).toMatchObject({ step: "finish", message: "run completed" });
    for (const task of ["a", "b", "c", "d"]) {
      const own = lines.filter((line) => line.task === task && steps.includes(line.step));
      expect(own.map((line) => line.step)).toEqual(steps);
      for (const line of own) expect(line).toMatchObject({ run_id: runId, task_id: own[0]!.task_id, attempt: 1 });
      for (const line of own.slice(1)) expect(line.agent_id).toBe(own[1]!.agent_id);
    }
    const order = lines
      .filter((line) => line.step === "claim" || line.step === "finish")
      .map((line) => `${line.step} ${line.task}`);
    for (const [first, then] of [
      ["a", "b"],
      ["a", "c"],
      ["b", "d"],
      ["c", "d"],
    ]) {
      expect(order.indexOf(`finish ${first}`)).toBeLessThan(order.indexOf(`claim ${then}`));
    }
  });

  it("shows the same steps in the JSON logs of the processes", async () => {
    const wanted = ["publish", "claim", "finish"].map((step) => `orchestrator ${step}`);
    wanted.push(...["deliver", "claim", "start", "report"].map((step) => `executor ${step}`));
    // A hint has no key: its line is found by the task's id.
    const ids = new Map((await deployment.client().runs.tasks(runId)).data.map((task) => [task.key, task.id]));
    await until(
      () => {
        const told = deployment.logs().filter((line) => line.run_id === runId);
        expect(told.some((line) => line.step === "submit")).toBe(true);
        for (const task of ["a", "b", "c", "d"]) {
          const own = told.filter((line) => line.task_id === ids.get(task));
          const seen = new Set(own.map((line) => `${String(line.member).split("-")[0]} ${line.step}`));
          expect([...wanted].filter((step) => !seen.has(step))).toEqual([]);
          for (const line of own.filter((entry) => entry.step !== "publish" && entry.step !== "ready")) {
            expect(line).toMatchObject({ task_id: expect.any(String), attempt: 1, agent_id: expect.any(String) });
          }
        }
      },
      "the processes have logged every step",
      10_000,
    );
  });

  it("tells no input, no key and no token anywhere", async () => {
    const text = [
      ...deployment.logs().map((line) => String(line.text)),
      JSON.stringify(await allLogs(deployment, runId)),
    ].join("\n");
    expect(text).not.toContain(secret);
    expect(text).not.toContain(adminKey);
    expect(text).not.toMatch(/ska_[A-Za-z0-9_-]{20}/);
    expect(text).not.toContain("lease_token");
  });
});

async function allLogs(deployment: Deployment, runId: string): Promise<LogLineBody[]> {
  const lines: LogLineBody[] = [];
  let cursor: string | undefined;
  do {
    const page = await deployment.client().runs.logs(runId, { limit: 10, ...(cursor !== undefined && { cursor }) });
    lines.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return lines;
}
