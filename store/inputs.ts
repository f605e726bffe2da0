/** What tasks are given to work on, for those who perform them, bid for them or look at them. */
import { constantInput } from "../core/activation.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Ref } from "../core/payload.ts";
import { wholes } from "./blobs.ts";
import type { Queryable } from "./sql.ts";
import type { StoredSpec } from "./transitions.ts";

export interface InputRow {
  id: string;
  run_id: string;
  needs: string[];
  spec: StoredSpec;
  input: Json;
  /** The holes in `input`. */
  input_refs: Ref[] | null;
}

/**
 * The input of each task that has started: its evaluated template, or `{ inputs, needs }` where it has none. What it is built
 * from is final by now, so it is not stored a second time.
 */
export async function buildInputs(
  db: Queryable,
  rows: InputRow[],
): Promise<(row: Omit<InputRow, "needs" | "input_refs">) => Json> {
  const bare = rows.filter((row) => row.spec.input === undefined);
  const holed = rows.filter((row) => row.input_refs);
  const [inputs, needs, filled] = await Promise.all([
    loadRunInputs(db, bare),
    loadNeeds(db, bare),
    wholes(
      db,
      holed.map(({ input, input_refs }) => ({ value: input, refs: input_refs })),
    ),
  ]);
  const whole = new Map(holed.map((row, n) => [row.id, filled[n]!]));
  return (row) => {
    if (row.spec.input === undefined) return { inputs: inputs.get(row.run_id) ?? {}, needs: needs.get(row.id) ?? {} };
    return whole.get(row.id) ?? row.input ?? constantInput(row.spec.input);
  };
}

async function loadRunInputs(db: Queryable, tasks: { run_id: string }[]): Promise<Map<string, JsonObject>> {
  if (tasks.length === 0) return new Map();
  const runIds = [...new Set(tasks.map((task) => task.run_id))];
  const rows = await db.query<{ id: string; inputs: JsonObject; refs: Ref[] | null }>(
    "select id, inputs, refs -> 'inputs' as refs from run where id = any($1::uuid[])",
    [runIds],
  );
  const whole = await wholes(
    db,
    rows.map(({ inputs, refs }) => ({ value: inputs, refs })),
  );
  return new Map(rows.map((row, n) => [row.id, whole[n] as JsonObject]));
}

async function loadNeeds(db: Queryable, tasks: { id: string; needs: string[] }[]): Promise<Map<string, JsonObject>> {
  const needIds = [...new Set(tasks.flatMap((task) => task.needs))];
  if (needIds.length === 0) return new Map();
  const rows = await db.query<{ id: string; key: string; output: Json; refs: Ref[] | null }>(
    "select id, key, output, refs -> 'output' as refs from task where id = any($1::uuid[])",
    [needIds],
  );
  const outputs = await wholes(
    db,
    rows.map(({ output, refs }) => ({ value: output, refs })),
  );
  const byId = new Map(rows.map(({ id, key }, n) => [id, { key, output: outputs[n]! }]));
  return new Map(
    tasks.map((task) => [
      task.id,
      Object.fromEntries(
        task.needs.map((id) => {
          const need = byId.get(id)!;
          return [need.key, need.output];
        }),
      ),
    ]),
  );
}
