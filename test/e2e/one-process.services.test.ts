/** `skein dev` with DATABASE_URL and AMQP_URL: one process, on servers. */
import { pino } from "pino";
import { expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { openPostgres } from "../../store/postgres.ts";
import { amqpUrl, freshDatabase } from "../services.ts";

const definition = {
  name: "line",
  tasks: [
    { id: "a", capability: "core.echo", input: "honk" },
    { id: "b", capability: "core.echo", needs: ["a"], input: "{{ tasks.a.output }}" },
  ],
};

it("keeps its facts in the database that it is given, and leaves nothing open when it stops", async () => {
  const { databaseUrl } = await freshDatabase();
  const config = loadConfig({ DATABASE_URL: databaseUrl, AMQP_URL: await amqpUrl(), PORT: "0" });
  const system: Embedded = await startEmbedded({ config, logger: pino({ level: "silent" }) });
  const run = await createClient({ url: system.url }).runs.submit({ definition }, { wait: 30 });
  await system.stop();
  const store = await openPostgres(databaseUrl);
  expect(await store.runs.find("default", run.id)).toMatchObject({ status: "completed", outputs: { b: "honk" } });
  await store.close();
});
