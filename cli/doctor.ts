/** `skein doctor`: do the invariants of the protocol hold in the database? */
import { loadConfig } from "../config.ts";
import type { Context } from "./context.ts";
import { counted, printJson, visible } from "./output.ts";
import { exitCodes, UsageError } from "./problem.ts";

export interface DoctorOptions {
  dataDir?: string;
}

/** Exits with 1 when one does not hold. A folder named in the options comes before DATABASE_URL. */
export async function doctor(context: Context, options: DoctorOptions): Promise<number> {
  const { env, paint, stdout } = context;
  const config = loadConfig(env);
  const databaseUrl = options.dataDir === undefined ? config.databaseUrl : undefined;
  if (context.server && options.dataDir === undefined && !databaseUrl) {
    throw new UsageError("The audit reads the database itself: set DATABASE_URL to the one that the server uses.");
  }
  const dataDir = options.dataDir ?? config.dataDir;
  const { auditDatabase } = await import("../agents/orchestrator_agent/doctor.ts");
  const violations = await auditDatabase({ databaseUrl, dataDir });
  if (context.json) {
    printJson(context, { healthy: violations.length === 0, violations });
  } else if (violations.length === 0) {
    stdout.write(`${paint.green("✔")} every invariant holds (I1–I6)\n`);
  } else {
    stdout.write(`${paint.red("✘")} ${counted(violations.length, "violation")}\n`);
    for (const { invariant, subject, detail } of violations) {
      stdout.write(`  ${visible(`${invariant}: ${subject} ${detail}`)}\n`);
    }
  }
  return violations.length === 0 ? exitCodes.ok : exitCodes.runFailed;
}
