/** A least-recently-used map bounded by the total length of its keys, for things that are costly to compile from text. */

export interface BoundedCache<Value> {
  /** The value under this text, made on first use. A text longer than the whole cache is made each time and not kept. */
  get(text: string, make: (text: string) => Value): Value;
}

/** `maxCharacters` is the sum of the lengths of all keys kept: what a key compiles to grows with its length. */
export function boundedCache<Value>(maxCharacters: number): BoundedCache<Value> {
  const entries = new Map<string, Value>(); // A Map iterates in insertion order: the first key is the least recently used.
  let characters = 0;

  function insert(text: string, value: Value): void {
    entries.set(text, value);
    characters += text.length;
    for (const oldest of entries.keys()) {
      if (characters <= maxCharacters) return;
      entries.delete(oldest);
      characters -= oldest.length;
    }
  }

  return {
    get(text, make) {
      if (text.length > maxCharacters) return make(text);
      const found = entries.get(text);
      if (found === undefined) {
        const made = make(text);
        insert(text, made);
        return made;
      }
      entries.delete(text);
      entries.set(text, found);
      return found;
    },
  };
}
