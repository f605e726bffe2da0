/** The files of runs: rows like any other, which go with their run. */
import { createHash } from "node:crypto";
import { type ArtifactWriter, decideArtifact } from "../core/artifact.ts";
import { LARGE_BYTES } from "../core/payload.ts";
import { holdArtifactsOf, readContents, storeContents } from "./blobs.ts";
import type { StoreContext } from "./facts.ts";
import { tokenHash } from "./lease-tokens.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type {
  Artifact,
  ArtifactAccess,
  ArtifactRefusal,
  ArtifactStore,
  ArtifactWrite,
  ArtifactWritten,
  LeaseProof,
  Page,
  PageOf,
} from "./store.ts";

export function artifactStore(store: StoreContext): ArtifactStore {
  return {
    write: (access, artifact) => write(store, access, artifact),
    read: (access, path) => read(store, access, path),
    list: (access, filter) => list(store, access, filter),
  };
}

interface ArtifactRow {
  path: string;
  content_type: string;
  size: number;
  sha256: string;
  task_id: string | null;
  attempt: number | null;
  created_at: Date;
  updated_at: Date;
}

const columns = `path, content_type, size, encode(sha256, 'hex') as sha256, task_id, attempt, created_at, updated_at`;

/**
 * Locks run, then task: what one run's writers add up to is counted by one after the other, and a lease that is held when
 * the write is decided is held when it is done.
 */
async function write(
  store: StoreContext,
  { namespace, runId, lease }: ArtifactAccess,
  { path, contentType, content, condition }: ArtifactWrite,
): Promise<ArtifactWritten> {
  const digest = createHash("sha256").update(content).digest();
  const isApart = content.length > LARGE_BYTES;
  // Before anything is locked; where the write comes to nothing, nothing refers to it.
  if (isApart) await storeContents(store, [{ hash: digest.toString("hex"), bytes: content }]);
  const writer = lease ? { taskId: lease.taskId, attempt: lease.attempt } : null;
  return store.transaction(async (tx) => {
    const [run] = await tx.query<{ is_finished: boolean }>(
      "select finished_at is not null as is_finished from run where namespace = $1 and id = $2 for no key update",
      [namespace, runId],
    );
    if (lease && !(await tx.query(`${heldLease} for no key update`, leaseParams(runId, lease)))[0]) {
      return { outcome: "stale" };
    }
    if (!run) return { outcome: "no_run" };
    if (run.is_finished) return { outcome: "finished" };
    const [existing] = await tx.query<ArtifactRow>(`select ${columns} from artifact where run_id = $1 and path = $2`, [
      runId,
      path,
    ]);
    const [others] = await tx.query<{ count: number; bytes: number }>(
      `select count(*)::int as count, coalesce(sum(size), 0)::float8 as bytes
       from artifact where run_id = $1 and path <> $2`,
      [runId, path],
    );
    const wanted = { sha256: digest.toString("hex"), contentType, bytes: content.length, writer };
    const found = existing && toArtifact(existing);
    const verdict = decideArtifact({ existing: found, others: others!, wanted, condition }, store.limits);
    if (verdict === "same") return { outcome: "same", artifact: found! };
    if (verdict === "conflict") return { outcome: "conflict" };
    if (verdict !== "write") return { outcome: "limit", message: verdict.limit };
    const [row] = await tx.query<ArtifactRow>(
      `insert into artifact (run_id, path, content_type, sha256, size, content, task_id, attempt)
       values ($1, $2, $3, $4, $5, $6, $7, $8)
       on conflict (run_id, path) do update
       set content_type = excluded.content_type, sha256 = excluded.sha256, size = excluded.size,
         content = excluded.content, task_id = excluded.task_id, attempt = excluded.attempt,
         updated_at = clock_timestamp()
       returning ${columns}`,
      [runId, path, contentType, digest, content.length, isApart ? null : content, writer?.taskId, writer?.attempt],
    );
    return { outcome: "written", artifact: toArtifact(row!) };
  });
}

async function read(
  store: StoreContext,
  access: ArtifactAccess,
  path: string,
): Promise<{ artifact: Artifact; content: Buffer } | "no_artifact" | ArtifactRefusal> {
  const refusal = await refusalOf(store, access);
  if (refusal) return refusal;
  const [row] = await store.query<ArtifactRow & { content: Buffer | null }>(
    `select ${columns}, content from artifact where run_id = $1 and path = $2`,
    [access.runId, path],
  );
  if (!row) return "no_artifact";
  const content = row.content ?? (await readContents(store, [row.sha256])).get(row.sha256)!;
  return { artifact: toArtifact(row), content };
}

async function list(
  store: StoreContext,
  access: ArtifactAccess,
  { prefix = "", ...page }: Page & { prefix?: string | undefined },
): Promise<PageOf<Artifact> | ArtifactRefusal> {
  const refusal = await refusalOf(store, access);
  if (refusal) return refusal;
  const limit = pageLimit(page);
  const rows = await store.query<ArtifactRow>(
    `select ${columns} from artifact
     where run_id = $1 and path > $2 and starts_with(path, $3)
     order by path
     limit $4`,
    [access.runId, decodeCursor(page.cursor, /./su) ?? "", prefix, limit + 1],
  );
  return pageFrom(rows, limit, (row) => row.path, toArtifact);
}

async function refusalOf(
  db: Queryable,
  { namespace, runId, lease }: ArtifactAccess,
): Promise<ArtifactRefusal | undefined> {
  if (lease) return (await db.query(heldLease, leaseParams(runId, lease)))[0] ? undefined : "stale";
  const [run] = await db.query("select from run where namespace = $1 and id = $2 and moving is null", [
    namespace,
    runId,
  ]);
  return run ? undefined : "no_run";
}

/** `is not false` as in a claim: one row is looked at, by its id. */
const heldLease = `
  select id from task
  where id = $1 and run_id = $2 and agent_id = $3 and attempt = $4 and lease_token = $5
    and (status = 'running') is not false`;

function leaseParams(runId: string, { taskId, agentId, attempt, leaseToken }: LeaseProof): unknown[] {
  return [taskId, runId, agentId, attempt, tokenHash(leaseToken)];
}

/**
 * A new run begins with what the tasks that it keeps have written, and with what came from outside. An artifact's task may
 * be an instance within a map or loop that is kept: `line` leads from it to those around it.
 */
export function keepArtifacts(tx: Transaction, runs: { from: string; to: string }, keptTaskIds: string[]): void {
  holdArtifactsOf(tx, runs.from);
  tx.send(
    `with recursive line as (
       select a.path, t.id, t.parent_id from artifact a join task t on t.id = a.task_id where a.run_id = $1
       union all
       select l.path, t.id, t.parent_id from line l join task t on t.id = l.parent_id
     )
     insert into artifact (run_id, path, content_type, sha256, size, content, task_id, attempt, created_at, updated_at)
     select $2, path, content_type, sha256, size, content, task_id, attempt, created_at, updated_at
     from artifact a
     where a.run_id = $1
       and (a.task_id is null or exists (select from line l where l.path = a.path and l.id = any($3::uuid[])))`,
    [runs.from, runs.to, keptTaskIds],
  );
}

function toArtifact(row: ArtifactRow): Artifact {
  const writer: ArtifactWriter = row.task_id === null ? null : { taskId: row.task_id, attempt: row.attempt! };
  return {
    path: row.path,
    contentType: row.content_type,
    size: row.size,
    sha256: row.sha256,
    writer,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
