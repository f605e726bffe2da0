/** One conversation of an experiment: members, the conversation, and between them the bus. */

import { entriesOf, type TranscriptEntry } from "../conversation/transcript.ts";
import { advance, type ConversationState, type Effect, startConversation } from "../conversation.ts";
import { parseDuration } from "../duration.ts";
import type { Json, JsonObject } from "../json.ts";
import type { Failure } from "./behaviour.ts";
import type { Bus } from "./bus.ts";
import { decisionIn } from "./decision.ts";
import { someOf, streamOf } from "./dice.ts";
import type { Cell, Experiment } from "./experiment.ts";
import { type BusCounts, faultyBus } from "./faulty-bus.ts";
import { hear } from "./member.ts";
import { type Act, beginMind, type Incoming, type Mind, rounded } from "./mind.ts";
import { createVirtualBus } from "./virtual-bus.ts";

/** Every trial begins then; times of a trial are so many milliseconds later. */
export const EPOCH = Date.UTC(2026, 0, 1);

/** An open auction among 100 has half as many. What has more, such as a flood in a large team, is broken off, and counts as failed. */
const MAX_HAPPENINGS = 250_000;
const SLICE = 1_000;

export interface Trial {
  experiment: Experiment;
  cell: Cell;
  seed: number;
  /** From 1. */
  repetition: number;
}

/** A row of the raw data. */
export interface TrialResult {
  cell: number;
  protocol: string;
  policy: string;
  team_size: number;
  faults: string;
  seed: number;
  repetition: number;
  status: "completed" | "failed" | "cancelled" | "stopped";
  ended_by: string | null;
  failure: string | null;
  /** The option that its result comes to, whoever was told. */
  decision: string | null;
  /** It completed, and what it awarded has been done. */
  success: boolean;
  /** Handed to the bus, by members and by the conversation. */
  messages: number;
  lost: number;
  duplicated: number;
  reordered: number;
  /** Messages of members that were taken, refused; times that somebody was silent. */
  accepted: number;
  refused: number;
  silent: number;
  rounds: number;
  latency_ms: number;
  /** Of the members that do not fail: the largest share that holds the same; null where all fail. */
  agreement: number | null;
  /** The share of them that holds the truth. */
  accuracy: number | null;
  cost: number;
  /** Who failed, and how. */
  failing: { member: string; kind: string }[];
}

export interface Played {
  result: TrialResult;
  transcript: TranscriptEntry[];
}

/** A trial under way. */
export interface Play {
  /** What has come of it, once nothing is under way any more; `isStopped`: it was broken off. */
  finish(isStopped?: boolean): Played;
}

/** Plays a trial in no time. The same trial always gives the same. */
export function simulate(trial: Trial): Played {
  const simulation = simulateInSlices(trial);
  for (;;) {
    const { done, value } = simulation.next();
    if (done) return value;
  }
}

/** The same, with breaks in which whoever plays it may do something else: a flood takes seconds. */
export function* simulateInSlices(trial: Trial): Generator<undefined, Played> {
  const bus = createVirtualBus();
  const play = startTrial(trial, bus);
  for (let left = MAX_HAPPENINGS; left > 0; left -= SLICE) {
    if (bus.run(SLICE)) return play.finish();
    yield;
  }
  return play.finish(true);
}

interface Actor {
  mind: Mind;
  isCrashed: boolean;
  /** Messages that it has sent. */
  sent: number;
}

/** Sets the scene, and begins the conversation; the bus does the rest. */
export function startTrial(trial: Trial, bus: Bus): Play {
  const { cell } = trial;
  const stage = new Stage(trial, bus);
  stage.apply(startConversation({ ...cell.parameters, seed: stage.seedOf("conversation") }, { at: EPOCH }));
  return stage;
}

class Stage implements Play {
  readonly #trial: Trial;
  readonly #bus: Bus & { counts: BusCounts };
  readonly #actors: Map<string, Actor>;
  readonly #transcript: TranscriptEntry[] = [];
  #state: ConversationState | undefined;
  #cancelDeadline: () => void = () => {};
  #crashes: (() => void)[] = [];
  #cost = 0;
  #worked = 0;
  #finishedAt = 0;
  readonly #seen = { accepted: 0, refused: 0, silent: 0 };

  constructor(trial: Trial, bus: Bus) {
    this.#trial = trial;
    this.#bus = faultyBus(bus, trial.cell.faults, this.seedOf("bus"));
    const failing = drawFailing(trial, this.seedOf("failing"));
    this.#actors = new Map(
      trial.cell.team.map(({ name, behaviour }) => [
        name,
        { mind: this.#beginMember(name, behaviour, failing.get(name) ?? null), isCrashed: false, sent: 0 },
      ]),
    );
    for (const [name, { mind }] of this.#actors) this.#scheduleCrash(name, mind.failure);
  }

  /** The same for the same seed and repetition in every cell: what differs between cells is not luck. */
  seedOf(...labels: string[]): number {
    return streamOf(this.#trial.seed, this.#trial.repetition, ...labels);
  }

  finish(isStopped = false): Played {
    const { cell, seed, repetition, experiment } = this.#trial;
    const { protocol, policy, teamSize, faultsName, number } = cell;
    const { sent, lost, duplicated, reordered } = this.#bus.counts;
    const { outcome, round } = this.#state!;
    const status = isStopped || !outcome ? "stopped" : outcome.status;
    const isDone = protocol !== "auction" || this.#worked > 0;
    const minds = [...this.#actors.values()].map(({ mind }) => mind);
    const sound = minds.filter(({ failure }) => failure === null).map(({ position }) => position);
    return {
      result: {
        cell: number,
        protocol,
        policy,
        team_size: teamSize,
        faults: faultsName,
        seed,
        repetition,
        status,
        ended_by: outcome && "endedBy" in outcome ? outcome.endedBy : null,
        failure: outcome?.status === "failed" ? outcome.failure.code : null,
        decision: outcome?.status === "completed" ? decisionIn(outcome.result as JsonObject, experiment.options) : null,
        success: status === "completed" && isDone,
        messages: sent,
        lost,
        duplicated,
        reordered,
        ...this.#seen,
        rounds: round,
        latency_ms: this.#finishedAt,
        agreement: sound.length === 0 ? null : Math.max(...experiment.options.map((one) => shareOf(sound, one) ?? 0)),
        accuracy: shareOf(sound, experiment.truth),
        cost: rounded(this.#cost),
        failing: minds.flatMap(({ name, failure }) => (failure ? [{ member: name, kind: failure.kind }] : [])),
      },
      transcript: this.#transcript,
    };
  }

  apply({ state, effects }: { state: ConversationState; effects: readonly Effect[] }): void {
    this.#state = state;
    this.#transcript.push(...entriesOf(effects));
    for (const effect of effects) this.#follow(effect);
  }

  #beginMember(name: string, behaviour: Cell["team"][number]["behaviour"], failure: Failure | null): Mind {
    const { cell, experiment } = this.#trial;
    const { options, truth } = experiment;
    const team = cell.team.map((member) => member.name);
    return beginMind({ name, team, options, truth, behaviour, failure, random: this.seedOf("member", name) });
  }

  #follow(effect: Effect): void {
    switch (effect.effect) {
      case "message": {
        const { seq, at, from, to, type, body, expects } = effect;
        if (from !== null && type !== "left") this.#seen.accepted += 1;
        for (const name of to) this.#tell(name, { seq, at, from, type, body, expects });
        return;
      }
      case "refused": {
        const { seq, at, from, type, reason } = effect;
        this.#seen.refused += 1;
        const body = { type, reason };
        this.#tell(from, { seq: seq ?? 0, at, from: null, type: "refused", body, expects: null });
        return;
      }
      case "silent":
        this.#seen.silent += 1;
        return;
      case "deadline":
        this.#setDeadline(effect.at);
        return;
      case "ended":
        this.#finishedAt = this.#bus.now();
        for (const cancel of this.#crashes) cancel();
        return;
      case "repeated":
        return;
    }
  }

  #setDeadline(at: number | null): void {
    this.#cancelDeadline();
    if (at === null) return;
    this.#cancelDeadline = this.#bus.wait(at - EPOCH - this.#bus.now(), () => {
      // Timers of a real clock may go off a little early.
      this.apply(advance(this.#state!, { event: "tick", at: Math.max(at, this.#time()) }));
    });
  }

  #time(): number {
    return EPOCH + this.#bus.now();
  }

  #tell(name: string, message: Incoming): void {
    const { from, type, body } = message;
    this.#bus.send({ from, to: name, type, body }, () => {
      const actor = this.#actors.get(name);
      if (!actor || actor.isCrashed) return;
      const { mind, acts } = hear(actor.mind, message);
      actor.mind = mind;
      for (const act of acts) this.#bus.wait(act.afterMs, () => this.#act(name, actor, act));
    });
  }

  #act(name: string, actor: Actor, act: Act): void {
    if (actor.isCrashed) return;
    this.#cost += act.cost;
    if (act.act === "work") {
      this.#worked += 1;
      this.#finishedAt = this.#bus.now();
      return;
    }
    actor.sent += 1;
    const { type, body } = act;
    this.#say(name, `${name}/${actor.sent}`, type, body);
    const { failure } = actor.mind;
    if (failure?.kind === "crasher" && actor.sent >= crashAfter(failure)) this.#crash(name, failure);
  }

  #say(from: string, id: string, type: string, body: Json): void {
    this.#bus.send({ from, to: null, type, body }, () => {
      this.apply(advance(this.#state!, { event: "message", at: this.#time(), id, from, type, body }));
    });
  }

  #scheduleCrash(name: string, failure: Failure | null): void {
    if (failure?.kind !== "crasher") return;
    if (failure.at !== undefined) {
      this.#crashes.push(this.#bus.wait(parseDuration(failure.at), () => this.#crash(name, failure)));
    } else if (crashAfter(failure) === 0) {
      this.#crash(name, failure);
    }
  }

  #crash(name: string, { noticed_after }: Failure): void {
    this.#actors.get(name)!.isCrashed = true;
    if (noticed_after === undefined || this.#state?.outcome) return;
    this.#crashes.push(
      this.#bus.wait(parseDuration(noticed_after), () => {
        this.apply(advance(this.#state!, { event: "left", at: this.#time(), member: name }));
      }),
    );
  }
}

/** Without a time, after its first message. */
function crashAfter({ after, at }: Failure): number {
  return after ?? (at === undefined ? 1 : Number.POSITIVE_INFINITY);
}

/** Null: there is nobody to ask. */
function shareOf(positions: readonly (string | null)[], position: string): number | null {
  if (positions.length === 0) return null;
  return positions.filter((one) => one === position).length / positions.length;
}

/** Who fails in this trial, named or drawn by lot among those who do not fail yet. */
function drawFailing({ cell }: Trial, random: number): Map<string, Failure> {
  const failing = new Map<string, Failure>();
  const dice = { random };
  for (const { member, count, share, ...failure } of cell.faults.members) {
    const names = cell.team.map(({ name }) => name).filter((name) => !failing.has(name));
    const drawn = someOf(dice, names, count ?? Math.round((share ?? 0) * cell.teamSize));
    const chosen = member === undefined ? drawn : names.filter((name) => name === member);
    for (const name of chosen) failing.set(name, failure);
  }
  return failing;
}
