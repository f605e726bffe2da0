/** Graceful ends: the first SIGTERM or SIGINT stops, the second one exits at once. */
import type { Logger } from "../transport/transport.ts";

/** Resolves when a signal has come and `stop` has finished. */
export async function stopOnSignals(logger: Logger, stop: () => Promise<void>): Promise<void> {
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, resolve);
  });
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => process.exit(1));
  logger.info({ signal }, "stopping; a second signal exits at once");
  await stop();
  logger.info({}, "stopped");
}
