/**
 * What handlers, which are other people's code, leave behind: a rejected promise that nobody awaits, or an exception in a
 * callback. Node would end the process for either of them, and every other task with it.
 */

export interface StrayListeners {
  rejected(reason: string): void;
  /** Left out, an exception ends the process as usual. */
  thrown?(reason: string): void;
}

/** Tells of strays instead of dying, for as long as `work` takes. */
export async function survivingStrays<T>(work: () => Promise<T>, { rejected, thrown }: StrayListeners): Promise<T> {
  const onRejection = (reason: unknown) => rejected(stackOf(reason));
  const onException = (error: unknown) => thrown?.(stackOf(error));
  process.on("unhandledRejection", onRejection);
  if (thrown) process.on("uncaughtException", onException);
  try {
    return await work();
  } finally {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
