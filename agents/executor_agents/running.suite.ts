/** Executors started for a test, with what they log, and stopped after it. */
import { afterEach, vi } from "vitest";
import type { Executor } from "../../sdk/executor.ts";
import type { Logger } from "../../transport/transport.ts";
import { type ExecutorOptions, type RunningExecutor, startExecutor } from "./executor.ts";
import { type FakeServer, startFakeServer } from "./fake-server.suite.ts";

export interface LogLine {
  level: string;
  message: string;
  step?: string;
  [field: string]: unknown;
}

/** A logger, and its lines so far. */
export function collectLines(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields });
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}

/** For use in a test file: what it starts is over when the test is. */
export function testBed() {
  const cleanUps: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });
  return {
    after: (cleanUp: () => Promise<unknown>) => void cleanUps.push(cleanUp),
    async server(options: { leaseMs?: number } = {}): Promise<FakeServer> {
      const server = await startFakeServer(options);
      cleanUps.push(() => server.close());
      return server;
    },
    async executor(
      server: FakeServer,
      executors: readonly Executor[],
      more: Partial<ExecutorOptions> = {},
    ): Promise<{ running: RunningExecutor; lines: LogLine[] }> {
      const { log, lines } = collectLines();
      const client = { url: server.url, apiKey: "test-key" };
      const running = await startExecutor({ client, executors, logger: log, drainMs: 0, ...more });
      cleanUps.push(() => running.stop());
      return { running, lines };
    },
  };
}

/** Waits until `check` no longer throws. */
export function eventually<T>(check: () => T | Promise<T>, timeout = 10_000): Promise<T> {
  return vi.waitFor(check, { timeout, interval: 5 });
}

/** A promise with its ends in hand. */
export function deferred<T = void>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
