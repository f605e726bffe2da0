import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Repair } from "../store.ts";
import type { Team } from "./team.ts";

/** Damage done to the tables by hand. `$1` is the run; it has tasks a (completed), b (running), c (ready), d and e. */
interface Damage {
  finds: string;
  /** A repair heals it: every invariant holds again, and the run can go on. Without it, a person has to. */
  repair?: "healed";
  invariant: RegExp;
  constraint?: string;
  sql: string;
}

const damages: Damage[] = [
  {
    finds: "a task that was settled twice",
    invariant: /^I1/,
    sql: `insert into event (run_id, xid, facts) select $1, '1'::xid8, json_build_array(json_build_object(
            'type', 'task.failed', 'task_id', id, 'key', key, 'attempt', 1)) from task where run_id = $1 and key = 'a'`,
  },
  {
    finds: "an attempt beyond the row's",
    invariant: /^I2/,
    sql: `insert into attempt (task_id, attempt, outcome, ended_at)
          select id, 7, 'failed', now() from task where run_id = $1 and key = 'c'`,
  },
  {
    finds: "an attempt that was claimed twice",
    invariant: /^I2/,
    sql: `insert into event (run_id, xid, facts) select $1, '1'::xid8, json_build_array(json_build_object(
            'type', 'task.claimed', 'task_id', id, 'key', key, 'attempt', 1)) from task where run_id = $1 and key = 'b'`,
  },
  {
    finds: "a running task without a lease",
    invariant: /^I3/,
    constraint: "running_has_lease",
    sql: "update task set lease_token = null where run_id = $1 and key = 'b'",
  },
  {
    finds: "a lease on a task that does not run",
    invariant: /^I3/,
    constraint: "only_running_expires",
    sql: "update task set lease_expires_at = now() where run_id = $1 and key = 'c'",
  },
  {
    finds: "a counter that is wrong",
    repair: "healed",
    invariant: /^I4: needs_left/,
    sql: "update task set needs_left = 2 where run_id = $1 and key = 'd'",
  },
  {
    finds: "a task that nobody told that its needs have settled",
    repair: "healed",
    invariant: /^I4: a task whose needs have settled/,
    sql: `with done as (update task set status = 'completed', finished_at = now(), available_at = null, ready_at = now()
            where run_id = $1 and key = 'c')
          update task set needs_left = 0 where run_id = $1 and key = 'd'`,
  },
  {
    finds: "a run that is both hot and in history",
    invariant: /^H1/,
    sql: `insert into run_history (namespace, id, workflow_name, status, created_at, finished_at, expires_at, task_count, run)
          select namespace, id, workflow_name, 'completed', now(), now(), 'infinity', 1, to_json(r.*) from run r where id = $1`,
  },
  {
    finds: "a task that started before its need had settled",
    invariant: /^I4: no task started/,
    sql: `update task set attempt = 1, needs_left = 0, status = 'completed', finished_at = now(), ready_at = now()
          where run_id = $1 and key = 'd'`,
  },
  {
    finds: "a finished run with open tasks",
    invariant: /^I5/,
    sql: "update run set status = 'completed', finished_at = now() where id = $1",
  },
  {
    finds: "a run that nobody finished",
    repair: "healed",
    invariant: /^I5/,
    sql: `with aged as (update run set created_at = now() - interval '1 hour' where id = $1)
          update task set status = 'cancelled', finished_at = now() - interval '1 hour', lease_expires_at = null
          where run_id = $1 and finished_at is null or run_id = $1 and key = 'a'`,
  },
  {
    finds: "a ready task that an idle agent has not been given",
    invariant: /^I6: every ready/,
    sql: "update task set available_at = now() - interval '1 hour' where run_id = $1 and key = 'c'",
  },
  {
    finds: "a retry that has been given no turn",
    invariant: /^I6: a retry/,
    // Of a capability that nobody offers, so that nothing else is amiss.
    sql: `update task set attempt = 1, turn = null, capability = 'nobody', available_at = now() - interval '1 hour'
      where run_id = $1 and key = 'c'`,
  },
  {
    finds: "a tick of a schedule whose run says otherwise",
    invariant: /^I1: at most one run per tick/,
    sql: `with s as (
            insert into schedule (namespace, name, spec, overlap, created_by)
            select namespace, 'damaged', '{}', 'skip', 'ann' from run where id = $1 returning namespace, name)
          insert into schedule_tick (namespace, schedule, tick_at, outcome, run_id) select namespace, name, now(), 'fired', $1 from s`,
  },
  {
    finds: "a limited task that waits though nothing holds its key",
    invariant: /^I6: what keeps to limits/,
    sql: `update task set is_limited = true, limit_keys = '{k}', available_at = now() - interval '1 hour'
          where run_id = $1 and key = 'c'`,
  },
  {
    finds: "a run that waits to start though nothing holds its key",
    invariant: /^I6: what keeps to limits/,
    sql: `update run set awaits_start = true, status = 'pending', created_at = now() - interval '1 hour',
            limits = '[{"key": "k", "concurrency": 1}]', limit_keys = '{k}', on_conflict = 'queue'
          where id = $1`,
  },
  {
    finds: "a key that more hold than its limit allows",
    invariant: /^I7/,
    sql: `update task set is_limited = true, limit_keys = '{k}', status = 'running', attempt = 1, agent_id = b.agent_id,
            lease_token = b.lease_token, lease_expires_at = b.lease_expires_at, started_at = now(), ready_at = now(),
            available_at = now(), needs_left = 0, spec = '{"limits": [{"key": "k", "concurrency": 1}]}'
          from (select agent_id, lease_token, lease_expires_at from task where run_id = $1 and key = 'b') b
          where run_id = $1 and key in ('b', 'c')`,
  },
  {
    finds: "a task that has started under a paused key",
    invariant: /^I7: nothing has started/,
    sql: `with paused as (
            insert into flow_limit (namespace, key, paused_by, paused_at, updated_at)
            select namespace, 'k', 'ann', now() - interval '1 hour', now() - interval '1 hour' from run where id = $1)
          update task set is_limited = true, limit_keys = '{k}' where run_id = $1 and key = 'b'`,
  },
  {
    finds: "a task that does not keep to the limit of its capability",
    invariant: /^I7: every task keeps/,
    sql: `insert into flow_limit (namespace, key, concurrency, marking, marked_in)
          select namespace, '@capability:work', 9, 'added', '1'::xid8 from run where id = $1`,
  },
  {
    finds: "a held task whose run is not paused",
    repair: "healed",
    invariant: /^I6: what is ready is held/,
    sql: "update task set held = true where run_id = $1 and key = 'c'",
  },
  {
    finds: "a task of a paused run that is not held",
    repair: "healed",
    invariant: /^I6: what is ready is held/,
    sql: "update run set status = 'paused' where id = $1",
  },
  {
    finds: "an expired lease that nobody took back",
    repair: "healed",
    invariant: /^I6: every expired/,
    sql: "update task set lease_expires_at = now() - interval '1 hour' where run_id = $1 and key = 'b'",
  },
  {
    finds: "a hole whose content is gone",
    invariant: /^I9: what stands apart/,
    sql: `update task set refs = '{"output": [["", "00", 1]]}', blobs = array['\\x00'::bytea] where run_id = $1 and key = 'a'`,
  },
  {
    finds: "a run whose inputs were never stored",
    invariant: /^I9: what stands apart/,
    sql: `with unstored as (insert into blob (hash, size, is_stored) values ('\\x00', 1, false))
          update run set refs = '{"inputs": [["", "00", 1]]}', blobs = array['\\x00'::bytea] where id = $1`,
  },
  {
    finds: "a message whose body is gone",
    invariant: /^I9: what stands apart/,
    sql: `insert into message (namespace, owner, number, id, sender_kind, sender, body_hash, body_bytes, expires_at)
          select namespace, 'nobody', 1, id, 'client', 'somebody', '\\x00', 1, now() + interval '1 hour' from run where id = $1`,
  },
  {
    finds: "a hole that its row does not list",
    invariant: /^I9: a row has/,
    sql: `update task set refs = '{"output": [["", "00", 1]]}', blobs = array[]::bytea[] where run_id = $1 and key = 'a'`,
  },
  {
    finds: "a content that is not what its hash says",
    invariant: /^I9: a content is/,
    sql: `insert into blob (hash, size, content, is_stored) select '\\x00', 1, 'a', true from run where id = $1`,
  },
];

export function auditCases(open: OpenTeam): void {
  async function newRun(team: Team): Promise<string> {
    const runId = await team.submit({ a: {}, b: {}, c: {}, d: { needs: ["c"] }, e: { needs: ["d"] } });
    await team.complete(await team.take(runId, "a"));
    await team.take(runId, "b");
    return runId;
  }

  /** The definition of the constraint, which is gone afterwards. */
  async function dropConstraint(team: Team, name: string): Promise<string> {
    const [row] = await team.sql.query<{ definition: string }>(
      "select pg_get_constraintdef(oid) as definition from pg_constraint where conname = $1",
      [name],
    );
    await team.sql.query(`alter table task drop constraint ${name}`);
    return `alter table task add constraint ${name} ${row!.definition}`;
  }

  /** Tells what it would do and does nothing; then does it, and the run says so, and comes to its end. */
  async function repairs(team: Team, runId: string, invariant: RegExp, isHealed: boolean): Promise<void> {
    const ofIt = (all: Repair[]) => all.find((one) => invariant.test(one.invariant))!;
    const found = await team.store.audit();
    const planned = await team.store.repair({ apply: false });
    expect(planned.map(({ invariant, subject, detail }) => ({ invariant, subject, detail }))).toEqual(found);
    expect(await team.store.audit()).toEqual(found);
    expect(ofIt(planned)).toMatchObject({ outcome: isHealed ? "would be healed" : "left", action: expect.any(String) });
    const done = await team.store.repair({ apply: true });
    expect(ofIt(done).outcome).toBe(isHealed ? "healed" : "left");
    if (!isHealed) return;
    expect(await team.store.audit()).toEqual([]);
    const told = (await team.events(runId)).filter(({ type }) => type === "run.repaired");
    expect(told).toHaveLength(done.filter(({ outcome }) => outcome === "healed").length);
    expect(told[0]).toMatchObject({ by: "doctor", reason: expect.stringContaining(done[0]!.invariant) });
    if ((await team.run(runId)).status === "paused") await team.store.runs.resume(team.namespace, runId, "test");
    await team.store.runs.cancel(team.namespace, runId, "test");
    await team.settle();
    expect((await team.run(runId)).finishedAt).not.toBeNull();
    expect(await team.store.audit()).toEqual([]);
  }

  for (const { finds, invariant, constraint, sql, repair } of damages) {
    it(`finds ${finds}`, async () => {
      const team = await open();
      const runId = await newRun(team);
      expect(await team.store.audit()).toEqual([]);
      const restore = constraint && (await dropConstraint(team, constraint));
      try {
        await team.sql.query(sql, [runId]);
        const violations = await team.store.audit();
        expect(violations.map((violation) => violation.invariant)).toContainEqual(expect.stringMatching(invariant));
        expect(violations[0]).toMatchObject({
          subject: expect.stringMatching(/^([0-9a-f-]{36}|00)$/),
          detail: expect.any(String),
        });
        await repairs(team, runId, invariant, repair === "healed");
      } finally {
        await team.sql.query("delete from event where run_id = $1", [runId]);
        await team.sql.query("delete from run where id = $1", [runId]);
        await team.sql.query("delete from run_history where id = $1", [runId]);
        await team.sql.query("delete from message where id = $1", [runId]);
        await team.sql.query("delete from blob where hash = '\\x00'");
        await team.sql.query("delete from flow_limit where namespace = $1", [team.namespace]);
        if (restore) await team.sql.query(restore);
      }
    });
  }

  it("is content with a run in every state", async () => {
    const team = await open();
    const runId = await newRun(team);
    await team.fail(await team.take(runId, "c"), { retryable: false });
    expect(await team.store.audit()).toEqual([]);
    await team.store.runs.cancel(team.namespace, runId, randomUUID());
    expect(await team.store.audit()).toEqual([]);
    await team.store.upkeep.endRuns(1);
    expect(await team.store.audit()).toEqual([]);
  });
}
