/**
 * What is proved of workflows, against the real scheduler: random workflows, to which random things are done. What is said never to
 * start or to complete never does, and no run has more tasks, or ends well with fewer, than was said. `SKEIN_PROOF_RUNS` sets how
 * many (default 60).
 */
import { PGlite } from "@electric-sql/pglite";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { defaultLimits } from "../../core/limits.ts";
import { prove } from "../../core/proof/prove.ts";
import type { TaskDefinition } from "../../core/workflow.ts";
import { poolOver } from "../../store/pglite.ts";
import { storeOver } from "../../store/postgres.ts";
import { sqlOver } from "../../store/sql.ts";
import { newTeam, type TestStore } from "../../store/suite/team.ts";
import { play, registerWorkflows } from "./play.ts";
import type { Task } from "./scheduler.ts";
import { type Action, actions, workflows } from "./workflows.ts";

const RUNS = Number(process.env.SKEIN_PROOF_RUNS ?? 60);
const SEED = Number(process.env.SKEIN_MODEL_SEED ?? 20261127);
const MAX_RUN_MS = 4_000;

let opened: TestStore;
beforeAll(async () => {
  const database = await PGlite.create("memory://");
  const pool = await poolOver(database);
  const store = storeOver(pool, { limits: defaultLimits, afterClose: () => database.close() });
  opened = { store, sql: sqlOver(pool), close: store.close };
});
afterAll(() => opened.close());

/** What handlers add, and what changes the definition, is not in any proof. */
const SPAWNS = 1;
const isProvable = ({ kind }: Action) => kind !== "patch" && kind !== "again" && kind !== SPAWNS;

it(
  `holds in ${RUNS} random runs`,
  async () => {
    const team = await newTeam(opened);
    await registerWorkflows(team);
    const told = { never: 0, well: 0 };
    await fc.assert(
      fc.asyncProperty(workflows, actions, async (tasks, chosen) => {
        const { findings, bounds } = prove(
          { name: "flow", tasks: tasks as TaskDefinition[] },
          { limits: defaultLimits },
        );
        const divergence = await play(team, tasks, chosen.filter(isProvable), (picture) => {
          const rows = Object.entries(picture).filter(([key]) => !/>|^\(run\)$/.test(key));
          for (const { code, pointer } of findings) {
            const forbidden = { TASK_NEVER_STARTS: ["completed", "failed"], TASK_NEVER_COMPLETES: ["completed"] }[
              code as string
            ];
            if (!forbidden) continue;
            told.never += 1;
            const ended = rows.filter(([key, status]) => isCalled(key, pointer, tasks) && forbidden.includes(status));
            expect({ pointer, ended }).toEqual({ pointer, ended: [] });
          }
          expect(rows.length).toBeLessThanOrEqual(bounds.tasks.most ?? Number.POSITIVE_INFINITY);
          const hasEndedWell = rows.every(([, status]) => status === "completed" || status === "skipped");
          if (!hasEndedWell || tasks.some(({ terminate }) => terminate)) return;
          told.well += 1;
          expect(rows.length).toBeGreaterThanOrEqual(bounds.tasks.least);
        });
        expect(divergence).toBeUndefined();
      }),
      { numRuns: RUNS, seed: SEED, endOnFailure: process.env.SKEIN_MODEL_SHRINK === "0" },
    );
    expect(told.never).toBeGreaterThan(0);
    expect(told.well).toBeGreaterThan(0);
  },
  RUNS * MAX_RUN_MS + 60_000,
);

/** Whether the row of this key is the task that stands there, or one of its iterations. */
function isCalled(key: string, pointer: string, tasks: readonly Task[]): boolean {
  const [index, , , inner] = pointer.split("/").slice(2);
  const task = tasks[Number(index)]!;
  if (inner === undefined) return key === task.id;
  const { id } = task.loop!.body[Number(inner)]!;
  return new RegExp(`^${task.id}\\[\\d+\\]/${id}$`).test(key);
}
