/** What a handler adds to its run: items of open maps, at once, and tasks that it spawns, with its report. */
import { failureKinds, SkeinError } from "../../../core/errors.ts";
import { isJsonObject, type Json } from "../../../core/json.ts";
import { type EmitAnswer, type EmitBody, MAX_BATCH } from "../../../core/protocol/tasks.ts";
import { type EmittedItem, type ExecutorContext, NonRetryableError, type TaskError } from "../../../sdk/executor.ts";
import { messageOf, untilAnswered } from "../../../sdk/repeat.ts";
import { requestFailure } from "./ask-server.ts";
import { type Attempt, proofOf, requireOpen, signalOf } from "./attempt.ts";
import { plainValue } from "./plain-value.ts";

/** Items of one request, as JSON: a body may have 1 MiB. */
const MAX_ITEMS_BYTES = 896 * 1_024;
/** Spawned tasks as JSON: leaves room in the report for the largest output and all log lines. */
const MAX_SPAWNED_BYTES = 4 * 1_024 * 1_024;

export interface Growth {
  readonly spawned: { tasks: Json[]; bytes: number };
  readonly emit: ExecutorContext["emit"];
  readonly spawn: ExecutorContext["spawn"];
  /** Resolves when what was emitted has arrived. Rejects when it cannot, and the handler did not wait to hear of it. */
  settled(): Promise<void>;
}

/** Created when the handler first adds something. */
export function growthOf(attempt: Attempt): Growth {
  attempt.growth ??= createGrowth(attempt);
  return attempt.growth;
}

type Emission = Pick<EmitBody, "map" | "items" | "close">;
type KeyedItem = Required<EmittedItem>;

function createGrowth(attempt: Attempt): Growth {
  const spawned: Growth["spawned"] = { tasks: [], bytes: 0 };
  let itemCount = 0;
  /** The end of the queue: calls that are not awaited arrive in order, too. */
  let last: Promise<unknown> = Promise.resolve();
  const underWay = new Set<Promise<EmitAnswer>>();

  function emit(map: string, items: readonly EmittedItem[], { close = false } = {}): Promise<EmitAnswer> {
    const sending = sendAfter(last, map, items, close);
    last = sending;
    // A promise of the handler's own: should it fail with nobody waiting, the process tells of it.
    const handed = sending.then((answer) => answer);
    const done = () => underWay.delete(handed);
    sending.then(done, done);
    underWay.add(handed);
    return handed;
  }

  async function sendAfter(
    earlier: Promise<unknown>,
    map: string,
    given: readonly EmittedItem[],
    close: boolean,
  ): Promise<EmitAnswer> {
    requireOpen(attempt, "to emit is too late");
    // Before waiting: the handler may go on to change them.
    const items = plainItems(map, given).map(withKey);
    await earlier.catch(() => {});
    return sendAll(map, items, close);
  }

  /** Every item has a key, so that a request whose answer was lost can be repeated. */
  function withKey({ item, key }: EmittedItem): KeyedItem {
    itemCount += 1;
    return { item, key: key ?? `${attempt.lease.task_id}/${attempt.lease.attempt}/${itemCount}` };
  }

  async function sendAll(map: string, items: KeyedItem[], close: boolean): Promise<EmitAnswer> {
    const total = { added: 0, repeated: 0 };
    for (const part of partsOf(items)) {
      const { added, repeated } = await send({ map, items: part });
      total.added += added;
      total.repeated += repeated;
    }
    // By itself: repeated after a lost answer it finds the map closed, which tells nothing about items beside it.
    if (close || items.length === 0) await send({ map, items: [], close });
    return total;
  }

  async function send(emission: Emission): Promise<EmitAnswer> {
    requireOpen(attempt, "to emit is too late");
    const signal = signalOf(attempt);
    let isRepeated = false;
    try {
      return await untilAnswered(() => attempt.session.client.emit({ ...proofOf(attempt.lease), ...emission }), {
        giveUpAfterMs: attempt.lease.lease_ms,
        signal,
        onFailure: () => {
          isRepeated = true;
        },
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (isRepeated && emission.close && isRefused(error)) return { added: 0, repeated: 0 };
      throw emitFailure(error);
    }
  }

  function spawn(tasks: readonly unknown[]): void {
    requireOpen(attempt, "to spawn is too late");
    const plain = plainList(tasks, "The spawned tasks", failureKinds.spawnInvalid);
    const bytes = spawned.bytes + Buffer.byteLength(JSON.stringify(plain));
    if (spawned.tasks.length + plain.length > MAX_BATCH || bytes > MAX_SPAWNED_BYTES) {
      throw new NonRetryableError(
        `A task spawns at most ${MAX_BATCH} tasks of 4 MiB in all; let one of them spawn the rest, or use a map.`,
        { code: failureKinds.spawnInvalid },
      );
    }
    spawned.tasks.push(...plain);
    spawned.bytes = bytes;
  }

  return {
    spawned,
    emit,
    spawn,
    async settled() {
      await Promise.all(underWay);
    },
  };
}

/** As the server would tell it at the end, where it can: what cannot be stored, or taken, cannot be the next time either. */
function emitFailure(error: unknown): TaskError {
  if (!isRefused(error)) return requestFailure(error);
  return new NonRetryableError(messageOf(error), { code: failureKinds.emitRefused, cause: error });
}

function isRefused(error: unknown): boolean {
  return error instanceof SkeinError && error.code === "EMIT_REFUSED";
}

function plainItems(map: string, given: readonly EmittedItem[]): EmittedItem[] {
  const items = plainList(given, `The items for "${map}"`, failureKinds.emitRefused) as unknown as EmittedItem[];
  const index = items.findIndex((one) => !isJsonObject(one) || !("item" in one));
  if (index < 0) return items;
  throw new NonRetryableError(`Item ${index} for "${map}" has no \`item\`; write { item, key? }.`, {
    code: failureKinds.emitRefused,
  });
}

/** A copy of the list as it will arrive. Throws a NonRetryableError for what JSON or the database cannot hold. */
function plainList(list: readonly unknown[], what: string, code: string): Json[] {
  const plain = plainValue(list, `${what} are`, code);
  if (Array.isArray(plain)) return plain;
  throw new NonRetryableError(`${what} have to be a list.`, { code });
}

/** In order, as few as one request's limits allow. */
function partsOf(items: KeyedItem[]): KeyedItem[][] {
  const parts: KeyedItem[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item));
    const part = parts.at(-1);
    bytes += size;
    if (part && part.length < MAX_BATCH && bytes <= MAX_ITEMS_BYTES) part.push(item);
    else {
      parts.push([item]);
      bytes = size;
    }
  }
  return parts;
}
