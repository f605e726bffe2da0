/** `skein doctor`: do the invariants of the protocol hold in the database, and does the object store work, if there is one? */
import { loadConfig } from "../config.ts";
import type { Context } from "./context.ts";
import { counted, printJson, visible } from "./output.ts";
import { exitCodes, UsageError } from "./problem.ts";

export interface DoctorOptions {
  dataDir?: string;
  repair?: boolean;
  apply?: boolean;
}

/** Exits with 1 when one does not hold or the object store does not work, and after a repair did not. A folder named in the options comes before DATABASE_URL. */
export async function doctor(context: Context, options: DoctorOptions): Promise<number> {
  const { env, paint, stdout } = context;
  const config = loadConfig(env);
  const databaseUrl = options.dataDir === undefined ? config.databaseUrl : undefined;
  if (context.server && options.dataDir === undefined && !databaseUrl) {
    throw new UsageError("The audit reads the database itself: set DATABASE_URL to the one that the server uses.");
  }
  const dataDir = options.dataDir ?? config.dataDir;
  const { auditDatabase, probeObjectStore, repairDatabase } = await import("../agents/orchestrator_agent/doctor.ts");
  if (options.apply && !options.repair) throw new UsageError("--apply is for --repair; give both, or neither.");
  if (options.repair) {
    return tellRepairs(context, await repairDatabase({ databaseUrl, dataDir, apply: options.apply ?? false }));
  }
  const violations = await auditDatabase({ databaseUrl, dataDir });
  const flaw = config.blobs && (await probeObjectStore(config.blobs));
  const isHealthy = violations.length === 0 && !flaw;
  const code = isHealthy ? exitCodes.ok : exitCodes.runFailed;
  const at = config.blobs && placeOf(config.blobs.url);
  if (context.json) {
    const store = at === undefined ? null : { at, healthy: !flaw, ...flaw };
    printJson(context, { healthy: isHealthy, violations, object_store: store });
    return code;
  }
  if (violations.length === 0) {
    stdout.write(`${paint.green("✔")} every invariant holds (I1–I9)\n`);
  } else {
    stdout.write(`${paint.red("✘")} ${counted(violations.length, "violation")}\n`);
    for (const { invariant, subject, detail } of violations) {
      stdout.write(`  ${visible(`${invariant}: ${subject} ${detail}`)}\n`);
    }
  }
  if (at !== undefined && !flaw) stdout.write(`${paint.green("✔")} objects are written, read and deleted at ${at}\n`);
  if (flaw)
    stdout.write(`${paint.red("✘")} no object can be ${done[flaw.step]} at ${at}\n  ${visible(flaw.message)}\n`);
  return code;
}

const done = { write: "written", read: "read back", delete: "deleted" };

function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return host + pathname;
}

interface Repair {
  invariant: string;
  subject: string;
  detail: string;
  outcome: string;
  action: string;
}

function tellRepairs(context: Context, repairs: readonly Repair[]): number {
  const { paint, stdout } = context;
  const open = repairs.filter(({ outcome }) => outcome !== "healed");
  if (context.json) {
    printJson(context, { healthy: open.length === 0, repairs });
  } else if (repairs.length === 0) {
    stdout.write(`${paint.green("✔")} every invariant holds, so there is nothing to repair\n`);
  } else {
    stdout.write(`${counted(repairs.length, "violation")}\n`);
    for (const { invariant, subject, detail, outcome, action } of repairs) {
      const mark = outcome === "healed" ? paint.green("✔") : paint.red("✘");
      stdout.write(`${mark} ${visible(`${invariant}: ${subject} ${detail}`)}\n  ${outcome}: ${action}\n`);
    }
    if (repairs.some(({ outcome }) => outcome === "would be healed")) {
      context.note("Nothing was changed; `skein doctor --repair --apply` does it.");
    }
  }
  return open.length === 0 ? exitCodes.ok : exitCodes.runFailed;
}
