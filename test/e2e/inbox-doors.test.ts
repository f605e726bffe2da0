/** Inboxes over the broker in this process. */
import { pino } from "pino";
import { memoryBroker } from "../../transport/memory.ts";
import { inboxDoorsSuite } from "./inbox-doors.suite.ts";

const broker = memoryBroker();
inboxDoorsSuite("the broker in this process", async () => broker.connect(pino({ level: "silent" })));
