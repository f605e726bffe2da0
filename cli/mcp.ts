/** `skein mcp`: the tools of the Model Context Protocol over stdin and stdout. */
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";

/** Runs until stdin ends. */
export async function mcp(context: Context, { tools }: { tools?: string }): Promise<number> {
  const { url } = await context.client();
  const { runMcpStdio } = await import("../mcp/main.ts");
  await runMcpStdio({
    url,
    ...(context.apiKey !== undefined && { apiKey: context.apiKey }),
    ...(tools !== undefined && { tools }),
  });
  return exitCodes.ok;
}
