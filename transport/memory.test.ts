import { describe } from "vitest";
import { memoryBroker } from "./memory.ts";
import { transportSuite } from "./transport.suite.ts";

describe("the transport in memory", () => {
  const broker = memoryBroker();
  transportSuite(async (log) => broker.connect(log));
});
