import { inject, TestRunner, test } from "vitest";

/** The runner of the "services" project: where the services cannot be had, a file is reported as skipped instead of run. */
export default class SkipRunner extends TestRunner {
  override importFile(path: string, source: "collect" | "setup"): unknown {
    if (source === "setup" || inject("services")) return super.importFile(path, source);
    return test.skip("needs PostgreSQL, RabbitMQ and Redis", () => {});
  }
}
