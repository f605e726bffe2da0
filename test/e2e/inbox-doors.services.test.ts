/** Inboxes over RabbitMQ, as `connectInbox` opens them: with a connection that publishes nothing. */
import { pino } from "pino";
import { expect, it } from "vitest";
import { connectInbox } from "../../index.ts";
import { connectRabbitMq } from "../../transport/rabbitmq.ts";
import { amqpUrl } from "../services.ts";
import { inboxDoorsSuite } from "./inbox-doors.suite.ts";

const url = amqpUrl();
inboxDoorsSuite("RabbitMQ", async () => connectRabbitMq(await url, { log: pino({ level: "silent" }) }));

it("a participant's own connection hears of messages, and is closed", async () => {
  const log = pino({ level: "silent" });
  const server = await connectRabbitMq(await url, { log });
  const { notices, close } = await connectInbox(await url, "zoe");
  const rung = new Promise<void>(
    (resolve) =>
      void notices(resolve).then(() => {
        server.publishEvents(
          [{ routingKey: "agent.default.zoe", body: { v: 1, namespace: "default", inboxes: ["zoe"] } }],
          "agents",
        );
      }),
  );
  await rung;
  await close();
  await server.close();
  await expect(connectInbox("amqp://127.0.0.1:1", "zoe")).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
});
