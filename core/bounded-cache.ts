/** A least-recently-used map bounded by the total length of its keys, for things that are costly to compile from text. */

export interface BoundedCache<Value> {
  /**
   * The value under this text, made on first use. A text longer than the whole cache is made each time and not kept.
   * `length` is what it counts for, where the text only stands for a longer one.
   */
  get(text: string, make: (text: string) => Value, length?: number): Value;
  /** The value under this text, if it is kept. */
  find(text: string): Value | undefined;
}

/** `maxCharacters` is the sum of the lengths of all keys kept: what a key compiles to grows with its length. */
export function boundedCache<Value>(maxCharacters: number): BoundedCache<Value> {
  // A Map iterates in insertion order: the first key is the least recently used.
  const entries = new Map<string, { value: Value; length: number }>();
  let characters = 0;

  function insert(text: string, value: Value, length: number): void {
    entries.set(text, { value, length });
    characters += length;
    for (const [oldest, entry] of entries) {
      if (characters <= maxCharacters) return;
      entries.delete(oldest);
      characters -= entry.length;
    }
  }

  function find(text: string): Value | undefined {
    const found = entries.get(text);
    if (!found) return undefined;
    entries.delete(text);
    entries.set(text, found);
    return found.value;
  }

  return {
    find,
    get(text, make, length = text.length) {
      if (length > maxCharacters) return make(text);
      const found = find(text);
      if (found !== undefined) return found;
      const made = make(text);
      insert(text, made, length);
      return made;
    },
  };
}
