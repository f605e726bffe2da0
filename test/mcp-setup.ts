/** Gets what the test files of the "mcp" project run: once per `vitest run`, before the first of them. */

import type { TestProject } from "vitest/node";
import { type McpPrograms, provideMcpPrograms } from "./mcp/programs.ts";

/** @throws when CI=true and the programs cannot be had; elsewhere the files are reported as skipped */
export async function setup(project: TestProject): Promise<(() => void) | undefined> {
  try {
    project.provide("mcpPrograms", await provideMcpPrograms(console.log));
    return undefined;
  } catch (error) {
    if (process.env.CI === "true") throw error;
    project.provide("mcpPrograms", null);
    const message = `NOT RUN: the official MCP conformance suite and Inspector: ${(error as Error).message}`;
    return () => console.warn(`\n${message}\n`);
  }
}

declare module "vitest" {
  interface ProvidedContext {
    mcpPrograms: McpPrograms | null;
  }
}
