/** Random workflows with every construct, and random things to do to their runs, for the comparison with the model. */
import fc from "fast-check";
import { triggerRules } from "../../core/join.ts";
import type { Task, Wait } from "./scheduler.ts";

const MAX_TASKS = 7;
export const signalNames = ["s", "t"];
export const groups = ["g", "h"];

const nat = (max: number) => fc.nat({ max });
const hours = fc.constantFrom("1h", "2h");

const condition = fc.oneof(
  hours.map((span) => ({ for: span })),
  fc.record({ signal: fc.constantFrom(...signalNames) }),
  fc.record({ signal: fc.constantFrom(...signalNames), transient: fc.constant(true) }),
  fc.constant({ approval: {} }),
);

const wait: fc.Arbitrary<Wait> = fc.oneof(
  condition,
  fc.tuple(condition, hours).map(([one, timeout]) => ({ ...one, timeout })),
  fc.array(condition, { minLength: 2, maxLength: 3 }).map((any_of) => ({ any_of })),
);

const work: fc.Arbitrary<Partial<Task>> = fc.record(
  {
    capability: fc.constant("work"),
    retry: nat(2).map((more) => ({ max_attempts: more + 1, initial_delay: "1s", jitter: false })),
    compensate: fc.constant({ capability: "work" }),
  },
  { requiredKeys: ["capability"] },
);

const map: fc.Arbitrary<Partial<Task>> = fc
  .tuple(
    work,
    fc.record(
      {
        for_each: nat(3).map((count) => Array.from({ length: count }, (_, n) => n)),
        max_concurrency: nat(1).map((more) => more + 1),
        tolerate_failures: nat(2),
        until: nat(1).map((more) => ({ succeeded: more + 1 })),
        open: fc.constantFrom(true as const, "drain" as const),
      },
      { requiredKeys: ["for_each"] },
    ),
  )
  .map(([one, more]) => ({ ...one, ...more }));

const loop: fc.Arbitrary<Partial<Task>> = fc
  .tuple(work, work, nat(2), nat(2), nat(7))
  .map(([a, b, last, more, rule]) => ({
    loop: {
      body: [
        { ...a, id: "x" },
        { ...b, id: "y", needs: ["x"], ...(more === 2 && { trigger_rule: triggerRules[rule]! }) },
      ],
      until: `index >= ${last}`,
      max: more + 1,
    },
  }));

/** What tasks can run as a run of its own. */
export const registered: Record<string, Task[]> = {
  child: [
    { id: "inner", capability: "work", retry: { max_attempts: 2, initial_delay: "1s", jitter: false } },
    { id: "last", capability: "work", needs: ["inner"] },
  ],
};

const nested: fc.Arbitrary<Partial<Task>> = fc.record(
  {
    workflow: fc.constantFrom(...Object.keys(registered)),
    detached: fc.boolean(),
    compensate: fc.constant({ capability: "work" }),
  },
  { requiredKeys: ["workflow"] },
);

/** Bound to the tasks before it. */
type Kind = (ids: string[]) => fc.Arbitrary<Partial<Task>>;

const cancel: Kind = (ids) =>
  fc
    .uniqueArray(fc.constantFrom(...ids, ...groups), { minLength: 1, maxLength: 2 })
    .map((names) => ({ cancel: names }));

const kind: Kind = (ids) =>
  fc.oneof(
    { weight: 8, arbitrary: work },
    { weight: 3, arbitrary: wait.map((one) => ({ wait: one })) },
    { weight: 3, arbitrary: map },
    { weight: 2, arbitrary: loop },
    { weight: 2, arbitrary: nested },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom("completed" as const, "failed" as const, "cancelled" as const)
        .map((terminate) => ({ terminate })),
    },
    ...(ids.length > 0 ? [{ weight: 1, arbitrary: cancel(ids) }] : []),
  );

/** How a task joins the needs it was given. */
function join(needs: string[]): fc.Arbitrary<Partial<Task>> {
  const none = fc.constant({});
  const rule = fc.constantFrom(...triggerRules).map((trigger_rule) => ({ trigger_rule }));
  if (needs.length === 0) return none;
  const rest = fc.record({ cancel_rest: fc.boolean() });
  const count = fc.tuple(nat(needs.length - 1), rest).map(([n, more]) => ({ join: { at_least: n + 1, ...more } }));
  const literal = fc.tuple(fc.constantFrom(...needs), fc.boolean()).map(([id, not]) => (not ? `!${id}` : id));
  const expression = fc
    .tuple(literal, literal, literal, fc.constantFrom("&&", "||"), fc.constantFrom("&&", "||"), rest)
    .map(([a, b, c, first, second, more]) => ({
      join: { expression: `(${a} ${first} ${b}) ${second} ${c}`, ...more },
    }));
  return fc.oneof({ weight: 4, arbitrary: none }, { weight: 3, arbitrary: rule }, count, expression);
}

function task(id: string, before: string[]): fc.Arbitrary<Task> {
  return fc.subarray(before, { maxLength: Math.min(3, before.length) }).chain((needs) =>
    fc
      .tuple(kind(before), join(needs), fc.option(fc.constantFrom(...groups), { freq: 3, nil: undefined }), nat(9))
      .map(([what, how, group, chance]) => ({
        id,
        ...what,
        ...how,
        ...(needs.length > 0 && { needs }),
        ...(group && { group }),
        ...(chance === 0 && { when: "false" }),
      })),
  );
}

export const workflows: fc.Arbitrary<Task[]> = fc
  .integer({ min: 1, max: MAX_TASKS })
  .chain((count) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, n) =>
        task(
          `t${n}`,
          Array.from({ length: n }, (_, m) => `t${m}`),
        ),
      ),
    ),
  )
  .map((tasks) => [...tasks]);

/** How a task that comes later, or anew, is made from those that are there: numbers choose its needs among them. */
export interface Change {
  part: "add" | "replace" | "rewire" | "remove";
  what: Partial<Task>;
  picks: number[];
}
const change: fc.Arbitrary<Change> = fc.record({
  part: fc.constantFrom("add" as const, "replace" as const, "rewire" as const, "remove" as const),
  what: fc
    .tuple(kind([]), fc.option(fc.constantFrom(...triggerRules), { nil: undefined }), nat(9))
    .map(([what, trigger_rule, chance]) => ({
      ...what,
      ...(trigger_rule && { trigger_rule }),
      ...(chance === 0 && { when: "false" }),
    })),
  picks: fc.array(nat(99), { maxLength: 2 }),
});

/** What is done to a run: numbers that choose among what can be done when its turn comes. */
export interface Action {
  kind: number | "patch" | "again";
  pick: number;
  flag: boolean;
  change?: Change;
}
export const ACTION_KINDS = 16;
const choice = { pick: nat(99), flag: fc.boolean() };
export const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: fc.record({ kind: nat(ACTION_KINDS - 1), ...choice }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("patch" as const), ...choice, change }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("again" as const), ...choice, change }) },
  ),
  { minLength: 1, maxLength: 8 },
);

export const spawned: Task[] = [
  { id: "p", capability: "work" },
  { id: "q", capability: "work", needs: ["p"], trigger_rule: "all_done" },
];
