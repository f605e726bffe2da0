/** Takes back leases that ran out, with care after a pause: then it was we who were away, not the executors. */
import type { UpkeepStore } from "../../store/store.ts";

const BATCH = 200;

/** A gap between two looks that is longer than this means that we, or the database, stood still. */
const PAUSE_MS = 5_000;
/** After a pause nobody is reaped for a lease's length, so that heartbeats that could not get through do so first. */
const MERCY_MS = 30_000;

/** One look at a time; `now` is monotonic milliseconds. True when there may be more to reap. */
export function createReaper(upkeep: UpkeepStore, now: () => number = () => performance.now()) {
  let lastLook = now();
  let mercyUntil = 0;
  return async function reap(): Promise<boolean> {
    if (now() - lastLook > PAUSE_MS) mercyUntil = now() + MERCY_MS;
    lastLook = now();
    if (now() < mercyUntil) return false;
    const count = await upkeep.reap(BATCH);
    // An outage shows as a long call as well, and so does a blocked thread.
    if (now() - lastLook > PAUSE_MS) mercyUntil = now() + MERCY_MS;
    lastLook = now();
    return count === BATCH;
  };
}
