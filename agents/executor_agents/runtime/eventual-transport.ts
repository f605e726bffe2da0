import { SkeinError } from "../../../core/errors.ts";
import { messageOf, pauseAfter } from "../../../sdk/repeat.ts";
import type { Logger, Transport, TransportState } from "../../../transport/transport.ts";
import type { HintCarrier } from "./hint.ts";

export interface EventualTransport extends HintCarrier {
  close(): Promise<void>;
}

/** Longest pause between attempts to connect. */
const MAX_PAUSE_MS = 10_000;

/**
 * The transport that `connect` makes, as soon as it does; "disconnected" until then, so that work begins without a broker.
 * Only BROKER_UNAVAILABLE is waited out: `onUseless` is told of any other failure.
 */
export function connectEventually(
  connect: () => Promise<Transport>,
  { log, onUseless }: { log: Logger; onUseless: (error: unknown) => void },
): EventualTransport {
  const listeners = new Set<(state: TransportState) => void>();
  let transport: Transport | undefined;
  let isClosed = false;
  let retry: NodeJS.Timeout | undefined;
  let giveUp = (_: Error) => {};
  let arrive = (_: Transport) => {};
  const arrival = new Promise<Transport>((resolve, reject) => {
    arrive = resolve;
    giveUp = reject;
  });
  arrival.catch(() => {}); // perhaps nobody consumes

  function tell(state: TransportState): void {
    for (const listener of listeners) listener(state);
  }

  async function tryConnect(failures: number): Promise<void> {
    try {
      const connected = await connect();
      if (isClosed) return connected.close();
      transport = connected;
      connected.onState(tell);
      tell(connected.state);
      arrive(connected);
    } catch (error) {
      if (isClosed) return;
      if (!(error instanceof SkeinError) || error.code !== "BROKER_UNAVAILABLE") return onUseless(error);
      log.warn({ step: "connect", failures }, `work is asked for by long-poll meanwhile: ${messageOf(error)}`);
      retry = setTimeout(() => void tryConnect(failures + 1), pauseAfter(failures, MAX_PAUSE_MS));
    }
  }

  const firstTry = tryConnect(1);
  return {
    get state() {
      return transport?.state ?? "disconnected";
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    consume: async (queue, options, onDelivery) => (await arrival).consume(queue, options, onDelivery),
    async close() {
      isClosed = true;
      clearTimeout(retry);
      giveUp(new SkeinError("BROKER_UNAVAILABLE", "This transport was closed before it was connected."));
      await firstTry;
      await transport?.close();
    },
  };
}
