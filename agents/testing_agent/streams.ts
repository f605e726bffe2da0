/** Streams, read one thing at a time. */

/** The next thing that a stream tells and that fits; others are passed over, and the stream stays open. */
export async function nextOf<T, Fitting extends T>(
  stream: AsyncGenerator<T>,
  fits: (told: T) => told is Fitting,
): Promise<Fitting> {
  for (;;) {
    const { value, done } = await stream.next();
    if (done) throw new Error("The stream ended before that came.");
    if (fits(value)) return value;
  }
}
