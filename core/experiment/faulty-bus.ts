/** A bus on which messages take their time, get lost, come twice, or overtake one another. */
import type { Bus, Parcel } from "./bus.ts";
import { type Delay, drawDelay, meanDelay } from "./delay.ts";
import { type Dice, happens, roll } from "./dice.ts";

/** Probabilities are of each message. */
export interface LinkFaults {
  loss: number;
  duplication: number;
  reordering: number;
  delay: Delay;
}

export interface BusCounts {
  sent: number;
  lost: number;
  duplicated: number;
  reordered: number;
  arrived: number;
}

/** What is reordered comes later by up to so many times the mean delay, and others may pass it. */
const REORDERED_BY = 10;

/**
 * From one sender to one receiver messages keep their order, as on a queue of RabbitMQ, unless they are reordered: one with a
 * longer delay holds up those behind it.
 */
export function faultyBus(bus: Bus, faults: LinkFaults, random: number): Bus & { counts: BusCounts } {
  const dice: Dice = { random };
  const counts: BusCounts = { sent: 0, lost: 0, duplicated: 0, reordered: 0, arrived: 0 };
  /** When the last of each link arrives. */
  const lastAt = new Map<string, number>();

  const carry = (parcel: Parcel, arrive: () => void) => {
    const delay = drawDelay(dice, faults.delay);
    const isReordered = happens(dice, faults.reordering);
    const link = JSON.stringify([parcel.from, parcel.to]);
    let at = bus.now() + delay;
    if (isReordered) {
      counts.reordered += 1;
      at += Math.round(roll(dice) * REORDERED_BY * Math.max(1, meanDelay(faults.delay)));
    } else {
      at = Math.max(at, lastAt.get(link) ?? 0);
      lastAt.set(link, at);
    }
    bus.wait(at - bus.now(), () => {
      bus.send(parcel, () => {
        counts.arrived += 1;
        arrive();
      });
    });
  };

  return {
    counts,
    now: bus.now,
    wait: bus.wait,
    send(parcel, arrive) {
      counts.sent += 1;
      const isLost = happens(dice, faults.loss);
      const isDouble = happens(dice, faults.duplication);
      if (isLost) {
        counts.lost += 1;
        return;
      }
      carry(parcel, arrive);
      if (!isDouble) return;
      counts.duplicated += 1;
      carry(parcel, arrive);
    },
  };
}
