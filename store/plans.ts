/** Plans that were made for goals, and what became of them. */
import type { JsonObject } from "../core/json.ts";
import type { Estimate } from "../core/planner/planner.ts";
import { takeKeys } from "./idempotency.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Sql } from "./sql.ts";
import type { ListedPlan, NewPlan, Page, PageOf, PlanRecord, PlanStore } from "./store.ts";

export function planStore(sql: Sql): PlanStore {
  return {
    list: (namespace, page) => listPlans(sql, namespace, page),
    create: (plan) => insertPlan(sql, plan),
    createOnce: (plan, idempotency) =>
      sql.transaction(async (tx) => {
        const claim = { namespace: plan.namespace, id: plan.id, ...idempotency };
        const owner = (await takeKeys(tx, [claim]))(claim);
        if (owner.bodyHash !== claim.bodyHash) return undefined;
        return owner.id === plan.id ? insertPlan(tx, plan) : findPlan(tx, plan.namespace, owner.id);
      }),
    accepted: async (namespace, limit) => {
      const rows = await sql.query<PlanRow>(
        `select ${planColumns} from plan where namespace = $1 and status = 'accepted' order by decided_at desc, id desc limit $2`,
        [namespace, limit],
      );
      return rows.map(toPlan);
    },
    find: (namespace, id) => findPlan(sql, namespace, id),
    decide: async (namespace, id, { status, by, reason, runId, submission }) => {
      const [row] = await sql.query<PlanRow>(
        `update plan set status = $3, decided_by = $4, decided_at = clock_timestamp(), reason = $5, run_id = $6,
           submission = coalesce($7::json, submission)
         where namespace = $1 and id = $2 and status = 'proposed'
         returning ${planColumns}`,
        [namespace, id, status, by, reason ?? null, runId ?? null, submission ? JSON.stringify(submission) : null],
      );
      return row && toPlan(row);
    },
  };
}

async function findPlan(db: Queryable, namespace: string, id: string): Promise<PlanRecord | undefined> {
  const [row] = await db.query<PlanRow>(`select ${planColumns} from plan where namespace = $1 and id = $2`, [
    namespace,
    id,
  ]);
  return row && toPlan(row);
}

const placeShape = /^\d+ [0-9a-f-]{36}$/;

/** Each has a partial index: `plan_accepted`, and `plan_unused`, whose plans are forgotten after a while. */
const listOf = (moment: string, isOfStatus: string) =>
  `select id, planner, status, goal ->> 'text' as text, goal -> 'want' as want,
     (select coalesce(json_object_agg(h.key, h.value -> 'type'), '{}') from json_each(goal -> 'have') as h) as have,
     explanation -> 'estimate' as estimate, explanation -> 'isBest' as is_best,
     decided_by, decided_at, reason, run_id, created_at, (extract(epoch from ${moment}) * 1000000)::bigint::text as place
   from plan
   where namespace = $1 and ${isOfStatus}
     and (${moment}, id) < (coalesce(timestamptz 'epoch' + $2::bigint * interval '1 microsecond', 'infinity'),
       coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   order by ${moment} desc, id desc limit $4`;
const lists = {
  accepted: listOf("decided_at", "status = 'accepted'"),
  proposed: listOf("created_at", "status <> 'accepted' and status = 'proposed'"),
  rejected: listOf("created_at", "status <> 'accepted' and status = 'rejected'"),
};

async function listPlans(
  sql: Sql,
  namespace: string,
  { status, ...page }: Page & { status: PlanRecord["status"] },
): Promise<PageOf<ListedPlan>> {
  const limit = pageLimit(page);
  const [micros, id] = decodeCursor(page.cursor, placeShape)?.split(" ") ?? [];
  const rows = await sql.query<ListedRow>(lists[status], [namespace, micros ?? null, id ?? null, limit + 1]);
  return pageFrom(rows, limit, (row) => `${row.place} ${row.id}`, toListed);
}

interface ListedRow extends Pick<PlanRow, "id" | "planner" | "status" | keyof Decided> {
  text: string | null;
  have: Record<string, string>;
  want: Record<string, string>;
  estimate: Estimate;
  is_best: boolean;
  /** Where it stands in its list. */
  place: string;
}

function toListed(row: ListedRow): ListedPlan {
  const { id, planner, status, text, have, want, estimate } = row;
  return { id, planner, status, text, have, want, estimate, isBest: row.is_best, ...decidedOf(row) };
}

export async function insertPlan(db: Queryable, plan: NewPlan): Promise<PlanRecord> {
  // The conflict is with ourselves, repeated after a connection was lost: nobody else has this id.
  const [row] = await db.query<PlanRow>(
    `insert into plan (namespace, id, planner, goal, workflow, explanation, submission, status, decided_by, decided_at, run_id)
     values ($1, $2, $3, $4, $5, $6, $7, case when $8::uuid is null then 'proposed' else 'accepted' end, $9,
       case when $8::uuid is null then null else clock_timestamp() end, $8)
     on conflict (id) do update set planner = excluded.planner
     returning ${planColumns}`,
    [
      plan.namespace,
      plan.id,
      plan.planner,
      JSON.stringify(plan.goal),
      JSON.stringify(plan.workflow),
      JSON.stringify(plan.explanation),
      JSON.stringify(plan.submission),
      plan.accepted?.runId ?? null,
      plan.accepted?.by ?? null,
    ],
  );
  return toPlan(row!);
}

/** What has become of a plan, and when. */
interface Decided {
  decided_by: string | null;
  decided_at: Date | null;
  reason: string | null;
  run_id: string | null;
  created_at: Date;
}

function decidedOf(row: Decided) {
  return {
    decidedBy: row.decided_by,
    decidedAt: row.decided_at,
    reason: row.reason,
    runId: row.run_id,
    createdAt: row.created_at,
  };
}

interface PlanRow extends Decided {
  namespace: string;
  id: string;
  planner: string;
  goal: NewPlan["goal"];
  workflow: NewPlan["workflow"];
  explanation: NewPlan["explanation"];
  submission: JsonObject;
  status: PlanRecord["status"];
}

const planColumns =
  "namespace, id, planner, goal, workflow, explanation, submission, status, decided_by, decided_at, reason, run_id, created_at";

function toPlan(row: PlanRow): PlanRecord {
  return {
    namespace: row.namespace,
    id: row.id,
    planner: row.planner,
    goal: row.goal,
    workflow: row.workflow,
    explanation: row.explanation,
    submission: row.submission,
    status: row.status,
    ...decidedOf(row),
  };
}
