/** A picture on the terminal that is drawn anew several times a second, until it is left standing. */
import { createLogUpdate } from "log-update";
import type { Surroundings } from "./context.ts";

export interface LiveView {
  /** Writes a line above the picture, where it stays. */
  note(line: string): void;
  /** Draws once more and leaves the picture standing. Idempotent. */
  stop(): void;
}

export interface Size {
  columns: number;
  rows: number;
}

/** Ten frames a second: a spinner turns smoothly, and nobody waits for the terminal. */
const FRAME_MS = 100;
/** A picture of 100,000 tasks takes 50 ms: then there are fewer of them, so that drawing takes a fifth of the time at most. */
const REST_PER_DRAWING = 4;
const defaultSize: Size = { columns: 80, rows: 24 };

/** `draw` is asked for each picture; `tick` counts them from 0. */
export function startLiveView(stream: Surroundings["stdout"], draw: (size: Size, tick: number) => string): LiveView {
  const log = createLogUpdate(stream as NodeJS.WriteStream);
  let tick = 0;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  function show(): void {
    log(draw({ columns: stream.columns ?? defaultSize.columns, rows: stream.rows ?? defaultSize.rows }, tick++));
  }

  function turn(): void {
    const began = performance.now();
    show();
    timer = setTimeout(turn, Math.max(FRAME_MS, (performance.now() - began) * REST_PER_DRAWING));
  }

  turn();
  return {
    note: (line) => log.persist(line),
    stop: () => {
      if (isStopped) return;
      isStopped = true;
      clearTimeout(timer);
      show();
      log.done();
    },
  };
}
