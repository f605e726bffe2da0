/** What is measured, and what it comes to in each cell. */
import type { Cell } from "./experiment.ts";
import { type Estimate, meanOf, proportionOf } from "./statistics.ts";
import type { TrialResult } from "./trial.ts";

export const measureNames = ["messages", "rounds", "latency", "agreement", "accuracy", "cost", "success"] as const;
export type MeasureName = (typeof measureNames)[number];

export interface Measure {
  title: string;
  /** What its axis says. */
  axis: string;
  /** In one sentence. */
  meaning: string;
  /** The most that it can be. */
  most?: number;
  digits: number;
  estimate(results: readonly TrialResult[]): Estimate | null;
}

const mean = (pick: (result: TrialResult) => number | null) => (results: readonly TrialResult[]) =>
  meanOf(results.map(pick).filter((value) => value !== null));

export const measures: Readonly<Record<MeasureName, Measure>> = {
  messages: {
    title: "Messages",
    axis: "messages in a conversation",
    meaning: "handed to the bus by members and by the conversation; one to three receivers is three",
    digits: 1,
    estimate: mean(({ messages }) => messages),
  },
  rounds: {
    title: "Rounds",
    axis: "rounds",
    meaning: "of the protocol",
    digits: 2,
    estimate: mean(({ rounds }) => rounds),
  },
  latency: {
    title: "Latency",
    axis: "milliseconds, by the trial's clock",
    meaning: "until the conversation ended, or what it awarded was done, in milliseconds of the trial's clock",
    digits: 0,
    estimate: mean(({ latency_ms }) => latency_ms),
  },
  agreement: {
    title: "Agreement",
    axis: "largest share that holds the same",
    meaning: "the largest share of the members that do not fail which holds the same at the end",
    most: 1,
    digits: 3,
    estimate: mean(({ agreement }) => agreement),
  },
  accuracy: {
    title: "Accuracy",
    axis: "share that holds the truth",
    meaning: "the share of the members that do not fail which holds the truth at the end",
    most: 1,
    digits: 3,
    estimate: mean(({ accuracy }) => accuracy),
  },
  cost: {
    title: "Cost",
    axis: "cost of the work done",
    meaning: "of all the work that members did, useful or not",
    digits: 2,
    estimate: mean(({ cost }) => cost),
  },
  success: {
    title: "Success",
    axis: "share of conversations",
    meaning: "the share of conversations that completed, with what they awarded done",
    most: 1,
    digits: 3,
    estimate: (results) => proportionOf(results.filter(({ success }) => success).length, results.length),
  },
};

export interface CellSummary {
  cell: Cell;
  count: number;
  estimates: Record<MeasureName, Estimate | null>;
}

/** One for each cell, in their order. */
export function summarize(cells: readonly Cell[], results: readonly TrialResult[]): CellSummary[] {
  return cells.map((cell) => {
    const own = results.filter((result) => result.cell === cell.number);
    const estimates = Object.fromEntries(measureNames.map((name) => [name, measures[name].estimate(own)]));
    return { cell, count: own.length, estimates: estimates as Record<MeasureName, Estimate | null> };
  });
}
