/** A run that an executor's bug has failed at its third task: after the fix, a retry runs only what is left. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isTaskFact, type RunEvent } from "../../core/event.ts";
import { type Deployment, startDeployment } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

let deployment: Deployment;
let folder: string;

/** The executor's module, with the line that adds to what the task before gave. */
const writeModule = (line: string) =>
  writeFile(
    join(folder, "steps.mjs"),
    `export const step = {
       capability: "test.step", version: "1", description: "",
       parseInput: (value) => value, parseOutput: (value) => value,
       run: ({ input }) => { ${line} },
     };`,
  );

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-retry-"));
  await writeModule("if (input.length === 2) return input.add('x'); return [...input, input.length];");
  const { databaseUrl } = await freshDatabase();
  deployment = await startDeployment({
    databaseUrl,
    amqpUrl: await amqpUrl(),
    executorArgs: () => ["--import", join(folder, "steps.mjs")],
  });
});
afterAll(async () => {
  await deployment?.stop();
  await rm(folder, { recursive: true, force: true });
});

it("runs only what is left", async () => {
  const client = deployment.client();
  const step = (id: string, need?: string) => ({
    id,
    capability: "test.step",
    retry: { max_attempts: 1 },
    ...(need ? { needs: [need], input: `{{ tasks.${need}.output }}` } : { input: [] }),
  });
  const tasks = [step("one"), step("two", "one"), step("three", "two"), step("four", "three")];
  const failed = await client.runs.submit({ definition: { name: "steps", tasks } }, { wait: 30 });
  expect(failed).toMatchObject({ status: "failed", error: { task: "three" }, counts: { completed: 2, failed: 1 } });

  const [executor] = deployment.executors;
  await executor!.stop();
  await writeModule("return [...input, input.length];");
  await executor!.start();
  const retried = await client.runs.retry(failed.id);
  expect(retried).toMatchObject({ attempt: 2, retried_from: failed.id });
  const events: RunEvent[] = [];
  for await (const event of client.runs.events(retried.id)) events.push(event);
  const keysOf = (type: string) => events.flatMap((one) => (isTaskFact(one) && one.type === type ? [one.key] : []));
  expect(keysOf("task.kept")).toEqual(["one", "two"]);
  expect(keysOf("task.claimed")).toEqual(["three", "four"]);
  expect(await client.runs.result(retried.id)).toEqual({
    status: "completed",
    outputs: { four: [0, 1, 2, 3] },
    error: null,
  });
});
