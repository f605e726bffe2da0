import { createHash, randomBytes } from "node:crypto";
import { equal, refused } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const artifacts: Scenario = {
  name: "artifacts",
  title: "A task writes files of its run, which others read, byte for byte, and change only as they know them",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    const agent = await join(unique);
    const run = await submit({ definition: { name: "artifacts", tasks: [{ id: "print", capability: unique }] } });
    const lease = await claim(agent);
    const files = agent.artifacts(run.id, lease);

    step("write two files as the task");
    const bytes = randomBytes(100_000);
    await files.write("report/summary.md", "# Geese\n");
    const { sha256 } = await files.write("report/photo.bin", bytes);
    equal("the digest of the bytes", sha256, createHash("sha256").update(bytes).digest("hex"));

    step("read them from outside");
    const photo = await client.runs.artifacts.read(run.id, "report/photo.bin");
    equal("whether the bytes are the same", photo.content.equals(bytes), true);
    const summary = await client.runs.artifacts.read(run.id, "report/summary.md");
    equal("the text", [summary.content.toString(), summary.contentType], ["# Geese\n", "text/plain; charset=utf-8"]);
    const { data } = await client.runs.artifacts.list(run.id, { prefix: "report/" });
    equal(
      "the files",
      data.map(({ path, size, task_id }) => [path, size, task_id]),
      [
        ["report/photo.bin", bytes.length, lease.task_id],
        ["report/summary.md", 8, lease.task_id],
      ],
    );

    step("write over one, under the digest that it has, and under another");
    const isNew = { ifAbsent: true };
    await refused("what is there", "ARTIFACT_CONFLICT", files.write("report/summary.md", "# Ducks\n", isNew));
    await files.write("report/summary.md", "# Swans\n", { ifMatch: summary.sha256 });
    const stale = { ifMatch: summary.sha256 };
    await refused("another digest", "ARTIFACT_CONFLICT", files.write("report/summary.md", "# Ducks\n", stale));
    await refused("what is not there", "ARTIFACT_NOT_FOUND", client.runs.artifacts.read(run.id, "report"));

    step("write after the task is over");
    await report(agent, completed(lease, "printed"));
    await watch(run.id);
    await refused("a lease that has ended", "LEASE_LOST", files.write("late.md", "late"));
  },
};
