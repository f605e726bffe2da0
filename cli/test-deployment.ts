/** `skein test`: the testing agent tries a running deployment. */
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";

/** Exits with 1 when a scenario failed. */
export async function testDeployment(context: Context, options: { only?: string[] }): Promise<number> {
  const { url } = await context.client();
  const { runTestingAgent } = await import("../agents/testing_agent/main.ts");
  const { failed } = await runTestingAgent({
    url,
    ...(context.apiKey !== undefined && { apiKey: context.apiKey }),
    ...(options.only && { only: options.only }),
    json: context.json,
    log: (line) => {
      context.stdout.write(`${line}\n`);
    },
  });
  return failed === 0 ? exitCodes.ok : exitCodes.runFailed;
}
