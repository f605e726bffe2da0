/** How PostgreSQL reaches the rows of runs, tasks and events. */
import pg from "pg";
import { sessionSettings } from "../sql.ts";

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  Plans?: PlanNode[];
}

/** Tables that grow with every run, or with what agents keep, or their indexes. */
const growing =
  /^(run|task|task_log|event|attempt|signal|artifact|agent_data|agent_memory|message|post|subscription|awaited_reply|shared_memory|working_state|budget|spend|registry_event|schedule_tick|cached_output|blob|conversation|conversation_entry)_/;

const isStatement = (text: string) => /^\s*(select|with|insert|update|delete)\b/.test(text);
/** Those of the audit, which is to read everything. */
const isAudit = (text: string) => text.includes(" as detail");
/** Those that are asked for seldom, by a person, and say so. */
const isAsked = (text: string) => text.includes("-- all that the namespace has");

/**
 * The scans in the plans of the statements, as they are kept whatever the parameters, that go through a whole table, or
 * all that a namespace has of it. Partial indexes hold only what waits, so they may be read whole.
 */
export async function broadScans(databaseUrl: string, statements: readonly string[]): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const [name, value] of Object.entries(sessionSettings)) await client.query(`set ${name} = '${value}'`);
    await client.query("set plan_cache_mode = force_generic_plan");
    const { rows } = await client.query<{ name: string }>(
      "select indexrelid::regclass::text as name from pg_index where indpred is not null",
    );
    const partial = new Set(rows.map(({ name }) => name));
    const broad: string[] = [];
    for (const text of statements.filter((one) => isStatement(one) && !isAudit(one) && !isAsked(one))) {
      const isBroad = (node: PlanNode) => {
        if (node["Node Type"] === "Seq Scan") return growing.test(`${node["Relation Name"]}_`);
        const index = node["Index Name"] ?? "";
        const condition = node["Index Cond"] ?? "";
        if (!growing.test(index) || partial.has(index)) return false;
        return condition === "" || /^\(namespace = [^)]*\)$/.test(condition);
      };
      for (const { Plans: _, ...node } of nodesOf(await planOf(client, text)).filter(isBroad)) {
        broad.push(`${JSON.stringify(node)} of:\n${text}`);
      }
    }
    return broad;
  } finally {
    await client.end();
  }
}

async function planOf(client: pg.Client, text: string): Promise<PlanNode> {
  await client.query("deallocate all");
  await client.query(`prepare asked as ${text}`);
  const { rows } = await client.query<{ count: number }>(
    "select cardinality(parameter_types) as count from pg_prepared_statements where name = 'asked'",
  );
  const nulls = Array.from({ length: rows[0]!.count }, () => "null").join(", ");
  const explained = await client.query(`explain (format json) execute asked${nulls && `(${nulls})`}`);
  return explained.rows[0]["QUERY PLAN"][0].Plan;
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
