/** The one pool of places in which handlers run, shared by all capabilities and all doors. */
export interface Slots {
  readonly total: number;
  readonly free: number;
  /** Takes up to `max` free slots, and says how many: perhaps none. */
  reserve(max: number): number;
  release(count: number): void;
  /** Calls `listener` each time slots were given back. */
  onFree(listener: () => void): void;
}

export function createSlots(total: number): Slots {
  let free = total;
  const listeners: (() => void)[] = [];
  return {
    total,
    get free() {
      return free;
    },
    reserve(max) {
      const taken = Math.min(max, free);
      free -= taken;
      return taken;
    },
    release(count) {
      if (count === 0) return;
      free += count;
      for (const listener of listeners) listener();
    },
    onFree: (listener) => void listeners.push(listener),
  };
}
