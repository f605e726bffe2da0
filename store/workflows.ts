/** Registered workflows: names and versions over definitions that are stored once by content. */
import { SkeinError } from "../core/errors.ts";
import { idPattern, type Workflow, workflowHash } from "../core/workflow.ts";
import { decodeCursor, pageFrom, pageLimit } from "./rows.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";
import type { StoredWorkflow, WorkflowStore } from "./store.ts";

interface WorkflowRow {
  name: string;
  version: number;
  hash: string;
  body: Workflow;
  created_at: Date;
}

export function workflowStore(sql: Sql): WorkflowStore {
  return {
    register: (namespace, workflow) => sql.transaction((tx) => register(tx, namespace, workflow)),
    find: (namespace, name, version) => findWorkflow(sql, namespace, name, version),
    list: async (namespace, page) => {
      const limit = pageLimit(page);
      const rows = await sql.query<WorkflowRow>(
        `select distinct on (w.name) w.name, w.version, w.hash, w.created_at, d.body
         from workflow w join definition d on d.namespace = w.namespace and d.hash = w.hash
         where w.namespace = $1 and w.name > $2
         order by w.name, w.version desc
         limit $3`,
        [namespace, decodeCursor(page.cursor, idPattern) ?? "", limit + 1],
      );
      return pageFrom(rows, limit, (row) => row.name, storedWorkflow);
    },
    definitionOf: async (namespace, runId) => {
      const [row] = await sql.query<{ body: Workflow }>(
        `select d.body from run r join definition d on d.namespace = r.namespace and d.hash = r.definition_hash
         where r.namespace = $1 and r.id = $2 and r.moving is null`,
        [namespace, runId],
      );
      return row?.body;
    },
  };
}

/** The newest version unless one is named. */
export async function findWorkflow(
  db: Queryable,
  namespace: string,
  name: string,
  version: number | undefined,
): Promise<StoredWorkflow | undefined> {
  const [row] = await db.query<WorkflowRow>(
    `select w.name, w.version, w.hash, w.created_at, d.body
     from workflow w join definition d on d.namespace = w.namespace and d.hash = w.hash
     where w.namespace = $1 and w.name = $2 and ($3::int is null or w.version = $3)
     order by w.version desc
     limit 1`,
    [namespace, name, version ?? null],
  );
  return row && storedWorkflow(row);
}

async function register(
  tx: Transaction,
  namespace: string,
  workflow: Workflow,
): Promise<{ stored: StoredWorkflow; created: boolean }> {
  // The version is not part of the content: it is what the content is given.
  const { version: asked, ...content } = workflow;
  const hash = workflowHash(content);
  await tx.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`workflow ${namespace} ${workflow.name}`]);
  const [same] = await tx.query<{ version: number }>(
    `select version from workflow
     where namespace = $1 and name = $2 and hash = $3 and ($4::int is null or version = $4)
     order by version desc limit 1`,
    [namespace, workflow.name, hash, asked ?? null],
  );
  if (!same) await insertVersion(tx, namespace, content, hash, asked);
  const stored = await findWorkflow(tx, namespace, workflow.name, same?.version ?? asked);
  return { stored: stored!, created: !same };
}

async function insertVersion(
  tx: Transaction,
  namespace: string,
  content: Workflow,
  hash: string,
  asked: number | undefined,
): Promise<void> {
  storeDefinitions(tx, [{ namespace, hash, body: content }]);
  const [inserted] = await tx.query(
    `insert into workflow (namespace, name, version, hash)
     select $1, $2, coalesce($3::int, (
       select coalesce(max(version), 0) + 1 from workflow where namespace = $1 and name = $2)), $4
     on conflict (namespace, name, version) do nothing
     returning version`,
    [namespace, content.name, asked ?? null, hash],
  );
  if (!inserted) {
    throw new SkeinError(
      "WORKFLOW_VERSION_CONFLICT",
      `Version ${asked} of workflow ${content.name} exists with other content; raise \`version\` or leave it out.`,
    );
  }
}

/** Definitions by content hash; what is there already is left alone. */
export function storeDefinitions(
  tx: Transaction,
  definitions: { namespace: string; hash: string; body: Workflow }[],
): void {
  if (definitions.length === 0) return;
  tx.send(
    `insert into definition (namespace, hash, body)
     select namespace, hash, body
     from json_to_recordset($1) as d(namespace text, hash text, body json)
     order by namespace, hash
     on conflict do nothing`,
    [JSON.stringify(definitions)],
  );
}

function storedWorkflow(row: WorkflowRow): StoredWorkflow {
  return {
    name: row.name,
    version: row.version,
    hash: row.hash,
    definition: row.body,
    createdAt: row.created_at,
  };
}
