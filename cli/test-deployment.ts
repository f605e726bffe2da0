/** `skein test`: the testing agent tries a running deployment. */
import { writeFile } from "node:fs/promises";
import { type Context, isLive } from "./context.ts";
import { visible } from "./output.ts";
import { exitCodes } from "./problem.ts";

export interface TestOptions {
  only?: string[];
  list?: boolean;
  /** Where to write the report as JUnit does. */
  junit?: string;
}

/** Exits with 1 when a scenario failed. */
export async function testDeployment(context: Context, { only, list, junit }: TestOptions): Promise<number> {
  const { url } = await context.client();
  const { listScenarios, reportJunit, runTestingAgent } = await import("../agents/testing_agent/main.ts");
  const options = {
    ...(only && { only }),
    json: context.json,
    log: (line: string) => {
      context.stdout.write(`${line}\n`);
    },
  };
  if (list) {
    listScenarios(options);
    return exitCodes.ok;
  }
  const report = await runTestingAgent({
    ...options,
    url,
    ...(context.apiKey !== undefined && { apiKey: context.apiKey }),
    interrupt: context.interrupt(),
    ...(isLive(context.stderr, context.env) && { progress: showProgress(context) }),
  });
  if (junit !== undefined) await writeFile(junit, reportJunit(url, report));
  return report.failed === 0 ? exitCodes.ok : exitCodes.runFailed;
}

const ERASE_LINE = "\r\x1b[2K";
const DEFAULT_COLUMNS = 80;

/** A line at the bottom that is written over; the report scrolls above it. */
function showProgress({ stderr, paint }: Context): (line: string | undefined) => void {
  return (line) => {
    // A terminal without a size says 0.
    const columns = stderr.columns || DEFAULT_COLUMNS;
    stderr.write(line === undefined ? ERASE_LINE : `${ERASE_LINE}${paint.dim(visible(line).slice(0, columns - 1))}`);
  };
}
