/** How much there is, by table and by namespace. */
import { nouns } from "./historic-rows.ts";
import type { Queryable } from "./sql.ts";
import type { StorageStore, TableSize } from "./store.ts";

export function storageStore(db: Queryable): StorageStore {
  return {
    tables: () => tableSizes(db),
    usage: async (namespace) => {
      const [row] = await db.query<{
        runs: number;
        tasks: number;
        all_tasks: number;
        history: [number, number, number];
      }>(countRuns, [namespace]);
      const { runs, tasks, all_tasks, history } = row!;
      const hot = new Set(["run", ...Object.keys(nouns)]);
      const bytes = (await tableSizes(db))
        .filter(({ name }) => hot.has(name))
        .reduce((sum, table) => sum + table.bytes, 0);
      return {
        runs,
        tasks,
        bytes: all_tasks === 0 ? 0 : Math.round((bytes * tasks) / all_tasks),
        history: { runs: history[0], tasks: history[1], bytes: history[2] },
      };
    },
  };
}

/** Reads every run: it is a question of administrators, asked now and then. */
const countRuns = `/* of all runs */
  select (count(*) filter (where namespace = $1))::int as runs,
    coalesce(sum(task_count) filter (where namespace = $1), 0)::float8 as tasks,
    coalesce(sum(task_count), 0)::float8 as all_tasks,
    (select json_build_array(count(*), coalesce(sum(task_count), 0), coalesce(sum(bytes), 0))
     from run_history where namespace = $1 and expires_at > clock_timestamp()) as history
  from run where moving is null`;

function tableSizes(db: Queryable): Promise<TableSize[]> {
  return db.query(
    `select coalesce(p.relname, c.relname)::text as name,
       sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0))::float8 as rows,
       sum(pg_total_relation_size(c.oid))::float8 as bytes
     from pg_class c
     left join pg_inherits i on i.inhrelid = c.oid
     left join pg_class p on p.oid = i.inhparent
     where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
     group by 1
     order by 3 desc, 1`,
  );
}
