/** `skein orchestrator`: the API and the loops, over PostgreSQL and RabbitMQ. */
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";

export interface OrchestratorOptions {
  port?: number;
  host?: string;
}

/** Runs until SIGTERM or Ctrl-C. */
export async function orchestrator({ env }: Context, { port, host }: OrchestratorOptions): Promise<number> {
  const { runOrchestrator } = await import("../agents/orchestrator_agent/main.ts");
  await runOrchestrator({
    ...env,
    ...(port !== undefined && { PORT: String(port) }),
    ...(host !== undefined && { HOST: host }),
  });
  return exitCodes.ok;
}
