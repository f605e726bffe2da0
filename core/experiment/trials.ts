/** All trials of an experiment, in their order. */
import type { Experiment } from "./experiment.ts";
import type { Trial } from "./trial.ts";

export function trialsOf(experiment: Experiment): Trial[] {
  const repetitions = Array.from({ length: experiment.repetitions }, (_, index) => index + 1);
  return experiment.cells.flatMap((cell) =>
    experiment.seeds.flatMap((seed) =>
      repetitions.map((repetition): Trial => ({ experiment, cell, seed, repetition })),
    ),
  );
}

/** One of each cell is logged and drawn. */
export function isLogged({ experiment, seed, repetition }: Trial): boolean {
  return seed === experiment.seeds[0] && repetition === 1;
}
