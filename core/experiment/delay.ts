/** Times that are drawn: how long a message is under way, how long a member thinks or works. */
import { z } from "zod";
import { durationFlaw, durationPattern, isDuration, parseDuration } from "../duration.ts";
import { type Dice, normal, roll } from "./dice.ts";

export const duration = z
  .string()
  .refine(isDuration, { error: ({ input }) => durationFlaw(input) })
  .meta({ pattern: durationPattern.source });

const order = { error: "must have a `min` that is not longer than its `max`" };

const drawn = z.discriminatedUnion(
  "distribution",
  [
    z
      .strictObject({ distribution: z.literal("uniform"), min: duration, max: duration })
      .refine(({ min, max }) => msIn(min) <= msIn(max), order),
    z.strictObject({ distribution: z.literal("exponential"), mean: duration, min: duration.optional() }),
    z.strictObject({ distribution: z.literal("normal"), mean: duration, deviation: duration }),
  ],
  { error: "must have a `distribution`, which is uniform, exponential or normal" },
);

/** Always the same as a duration, or drawn from a distribution. */
export const delaySchema = z
  .union([duration, drawn])
  .meta({ description: "A duration, or a distribution: uniform, exponential or normal" });
export type Delay = z.infer<typeof delaySchema>;

/** Whole milliseconds, never negative. */
export function drawDelay(dice: Dice, delay: Delay): number {
  if (typeof delay === "string") return msIn(delay);
  switch (delay.distribution) {
    case "uniform":
      return Math.round(msIn(delay.min) + roll(dice) * (msIn(delay.max) - msIn(delay.min)));
    case "exponential":
      return Math.round((delay.min ? msIn(delay.min) : 0) - Math.log(1 - roll(dice)) * msIn(delay.mean));
    case "normal":
      return Math.max(0, Math.round(msIn(delay.mean) + normal(dice) * msIn(delay.deviation)));
  }
}

export function meanDelay(delay: Delay): number {
  if (typeof delay === "string") return msIn(delay);
  if (delay.distribution === "uniform") return (msIn(delay.min) + msIn(delay.max)) / 2;
  return msIn(delay.mean) + ("min" in delay && delay.min ? msIn(delay.min) : 0);
}

/** Others than ours are refused elsewhere. */
function msIn(text: string): number {
  return isDuration(text) ? parseDuration(text) : 0;
}
