import { setTimeout as delay } from "node:timers/promises";
import type { Channel, RecoveringChannelModel } from "amqplib";
import { SkeinError } from "../core/errors.ts";
import type { Logger } from "./transport.ts";

/** Pause before opening again: after a loss the first, doubled at each failure in a row up to the second. */
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;

export interface HeldChannel<C extends Channel> {
  /** The open, set-up channel; undefined while there is none. */
  readonly current: C | undefined;
  /** Resolves when the channel is open for the first time; rejects if it is released before. */
  readonly opened: Promise<void>;
  /** Gives up the current channel and opens another. */
  reopen(): void;
  /** Closes the channel for good. Idempotent. */
  release(): Promise<void>;
}

/**
 * A channel that comes back. Whatever closes it (the connection, a consumer timeout, an error of ours), another is
 * opened and `setUp` run on it, for ever; a channel whose `setUp` fails is closed and tried again after a pause.
 * `open` must itself wait for the connection, as amqplib's recovering connection does. `onChange` is called whenever
 * `current` has changed.
 */
export function holdChannel<C extends Channel>(options: {
  what: string;
  open: () => Promise<C>;
  setUp: (channel: C) => Promise<void>;
  onChange?: () => void;
  /** Holds this one until it is released, so that its owner can release them all. */
  holds: Set<HeldChannel<Channel>>;
  log: Logger;
}): HeldChannel<C> {
  const { what, holds, log } = options;
  const released = new AbortController();
  let markOpened = () => {};
  const opened = new Promise<void>((resolve, reject) => {
    markOpened = resolve;
    released.signal.addEventListener("abort", () => {
      reject(new SkeinError("BROKER_UNAVAILABLE", `The transport was closed before ${what} could be set up.`));
    });
  });
  opened.catch(() => {}); // not everyone waits for it
  let current: C | undefined;

  const change = (next: C | undefined) => {
    if (next === current) return;
    current = next;
    options.onChange?.();
  };

  /** Opens, sets up and returns when the channel has closed again. */
  const live = async () => {
    const channel = await options.open();
    const closed = new Promise<void>((resolve) => channel.once("close", resolve));
    channel.on("error", (error) => log.warn({ err: error }, `the broker closed the channel of ${what}`));
    channel.on("handler-error", (error) => log.error({ err: error }, `a listener of the channel of ${what} threw`));
    try {
      if (!released.signal.aborted) await options.setUp(channel);
    } catch (error) {
      await closeQuietly(channel);
      throw error;
    }
    if (released.signal.aborted) return closeQuietly(channel);
    change(channel);
    markOpened();
    await closed;
    if (current === channel) change(undefined);
  };

  const keep = async () => {
    for (let failures = 0; !released.signal.aborted; ) {
      try {
        await live();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!released.signal.aborted) log.warn({ err: error, failures }, `cannot set up ${what}; trying again`);
      }
      const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      await delay(pause, undefined, { signal: released.signal }).catch(() => {});
    }
  };

  const drop = () => {
    const channel = current;
    change(undefined);
    return channel ? closeQuietly(channel) : Promise.resolve();
  };

  const held: HeldChannel<C> = {
    get current() {
      return current;
    },
    opened,
    reopen: () => void drop(),
    release: () => {
      released.abort();
      holds.delete(held);
      return drop();
    },
  };
  holds.add(held);
  void keep();
  return held;
}

/** A channel for one short use: what fails on it closes it. Waits for the connection. */
export async function withChannel(
  connection: RecoveringChannelModel,
  use: (channel: Channel) => Promise<void>,
): Promise<void> {
  const channel = await connection.createChannel();
  channel.on("error", () => {}); // what fails says so itself
  try {
    await use(channel);
  } finally {
    await closeQuietly(channel);
  }
}

/**
 * Closes a channel that may be closed already, or closing, or on a dead connection. The promise of amqplib's own
 * `close()` never settles when the connection is lost meanwhile; the event does come.
 */
export function closeQuietly(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    channel.once("close", resolve);
    channel.close().then(resolve, resolve);
  });
}
