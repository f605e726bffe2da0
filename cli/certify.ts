/** `skein certify`: the conformance kit starts an executor of any language and tries it. */
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";

export interface CertifyOptions {
  case?: string[];
  listen?: number;
}

/** Exits with 1 when a case failed. */
export async function certify(context: Context, command: string[], options: CertifyOptions): Promise<number> {
  const { url } = await context.client();
  const kit = await import("../agents/testing_agent/certify/main.ts");
  const { failed } = await kit.certify({
    url,
    ...(context.apiKey !== undefined && { apiKey: context.apiKey }),
    command,
    env: context.env,
    ...(options.listen !== undefined && { port: options.listen }),
    ...(options.case && { only: options.case }),
    json: context.json,
    log: (line) => {
      context.stdout.write(`${line}\n`);
    },
    signal: context.interrupt(),
  });
  return failed === 0 ? exitCodes.ok : exitCodes.runFailed;
}
