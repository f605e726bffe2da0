/**
 * The port to what carries the messages of a trial and keeps its time. A trial (trial.ts) knows nothing else of the world: on
 * the virtual bus it is a simulation, on a bus over timers it takes real time, and a bus that hands parcels to the inboxes of
 * agents in other processes is a third one.
 */
import type { Json } from "../json.ts";

export interface Bus {
  /** Whole milliseconds since the trial began. */
  now(): number;
  /** Carries a parcel; `arrive` is called for each copy that comes through: never, once, or more often. */
  send(parcel: Parcel, arrive: () => void): void;
  /** Calls back when so many milliseconds have passed. Answers how to call it off. */
  wait(ms: number, happen: () => void): () => void;
}

/** A message on its way. Null is the conversation. */
export interface Parcel {
  from: string | null;
  to: string | null;
  type: string;
  body: Json;
}
