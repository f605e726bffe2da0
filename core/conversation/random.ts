/** A seeded generator whose whole state is one 32-bit number, so that it is part of a conversation's state. */

/** Mulberry32 (Tommy Ettinger, 2017). `value` is uniform in [0, 1). */
export function nextRandom(state: number): { state: number; value: number } {
  const next = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(next ^ (next >>> 15), 1 | next);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return { state: next, value: ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 };
}

/** `count` of the items, or all if there are fewer, each subset equally likely (Fisher and Yates). */
export function pick<T>(items: readonly T[], count: number, state: number): { state: number; picked: T[] } {
  const rest = [...items];
  const picked: T[] = [];
  let at = state;
  while (picked.length < count && rest.length > 0) {
    const drawn = nextRandom(at);
    at = drawn.state;
    picked.push(...rest.splice(Math.floor(drawn.value * rest.length), 1));
  }
  return { state: at, picked };
}
