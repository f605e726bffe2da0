/** The tools of `llm.agent`: those of MCP servers, and other capabilities of the same process. */
import { createHash } from "node:crypto";
import type { ToolSet } from "ai";
import { z } from "zod";
import { canonicalJson, type Json, type JsonObject } from "../../../core/json.ts";
import { didYouMean } from "../../../core/near-miss.ts";
import { type Executor, type ExecutorContext, NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import type { McpServers } from "../mcp/servers.ts";
import type { LlmSession } from "./llm.ts";

const MAX_TOOL_SOURCES = 64;
/** Model APIs take no more. */
const MAX_NAME_CHARS = 64;
/** Of one result; more of it would only fill the model's memory. */
const MAX_RESULT_CHARS = 50_000;

export const toolsField = z
  .array(
    z.union([
      z.strictObject({
        mcp: z.string().describe("A server named in SKEIN_MCP_SERVERS"),
        only: z.array(z.string()).min(1).optional().describe("Tools of it. Default: all"),
      }),
      z.strictObject({
        capability: z.string().describe("Another capability of the same executor process"),
        description: z.string().optional().describe("For the model, instead of the capability's own"),
      }),
    ]),
  )
  .max(MAX_TOOL_SOURCES)
  .default([]);
type ToolSource = z.output<typeof toolsField>[number];

/** What the model may call, with what runs it. */
interface AgentTool {
  name: string;
  description: string;
  schema: JsonObject;
  run(args: unknown): Promise<unknown>;
}

export interface ToolWorld {
  context: ExecutorContext;
  session: LlmSession;
  servers: McpServers;
}

/** Throws LLM_TOOL_UNKNOWN, and what asking an MCP server throws. */
export async function toolsFor(sources: readonly ToolSource[], world: ToolWorld): Promise<ToolSet> {
  const { sdk } = world.session;
  const set: ToolSet = {};
  for (const source of sources) {
    const found = "mcp" in source ? await mcpTools(source, world) : [capabilityTool(source, world)];
    for (const { name, description, schema, run } of found) {
      set[unusedName(name, set)] = sdk.dynamicTool({
        description,
        inputSchema: sdk.jsonSchema(schema),
        execute: (args) => reasoned(run, args),
      });
    }
  }
  return set;
}

async function mcpTools({ mcp, only }: Extract<ToolSource, { mcp: string }>, { context, servers }: ToolWorld) {
  const offered = await servers.tools(mcp, context);
  for (const name of only ?? []) {
    if (!offered.some((tool) => tool.name === name)) {
      throw unknownTool(
        `The MCP server "${mcp}" has no tool "${name}".`,
        name,
        offered.map((tool) => tool.name),
      );
    }
  }
  return offered
    .filter(({ name }) => only?.includes(name) ?? true)
    .map(({ name, description = "", inputSchema }): AgentTool => {
      const run = async (args: unknown) => {
        const { result, content } = await servers.call({ server: mcp, tool: name, args: args as JsonObject }, context);
        return content ?? result;
      };
      return { name: `${mcp}_${name}`, description, schema: inputSchema as JsonObject, run };
    });
}

function capabilityTool(
  { capability, description }: Extract<ToolSource, { capability: string }>,
  world: ToolWorld,
): AgentTool {
  const { executors, capability: own } = world.context;
  const executor = executors.get(capability);
  if (!executor || capability === own) {
    const others = [...executors.keys()].filter((name) => name !== own);
    throw unknownTool(`"${capability}" cannot be a tool here.`, capability, others);
  }
  // Model APIs take objects alone.
  const isObject = executor.inputSchema?.type === "object";
  const input = executor.inputSchema ?? {};
  return {
    name: capability,
    description: description ?? executor.description,
    schema: isObject ? input : { type: "object", properties: { input }, required: ["input"] },
    run: runnerOf(executor, isObject, world),
  };
}

function runnerOf(executor: Executor, isObject: boolean, { context, session }: ToolWorld) {
  const times = new Map<string, number>();
  return async (args: unknown) => {
    const wire = (isObject ? args : ((args as JsonObject).input ?? null)) as Json;
    const text = canonicalJson(wire);
    const time = times.get(text) ?? 0;
    times.set(text, time + 1);
    const result = await executor.run({
      ...context,
      input: executor.parseInput(wire),
      capability: executor.capability,
      // Another attempt may call in another order: the same call is told by what it asks for.
      idempotencyKey: hash([context.idempotencyKey, executor.capability, text, String(time)]),
      progress: () => {},
      usage: session.meter.count,
    });
    return executor.parseOutput(result);
  };
}

/** The result as the model sees it; of an error, the code and the words, which may help it to do better. */
async function reasoned(run: (args: unknown) => Promise<unknown>, args: unknown): Promise<string> {
  try {
    const result = await run(args);
    const text = typeof result === "string" ? result : JSON.stringify(result);
    if (text.length <= MAX_RESULT_CHARS) return text;
    return `${text.slice(0, MAX_RESULT_CHARS).toWellFormed()}… (cut off, ${text.length} characters in all)`;
  } catch (error) {
    throw error instanceof TaskError ? new Error(`${error.code}: ${error.message}`) : error;
  }
}

function unusedName(wanted: string, set: ToolSet): string {
  const plain = wanted.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, MAX_NAME_CHARS);
  let name = plain;
  for (let n = 2; Object.hasOwn(set, name); n++) name = `${plain.slice(0, MAX_NAME_CHARS - `_${n}`.length)}_${n}`;
  return name;
}

function unknownTool(what: string, name: string, known: readonly string[]): NonRetryableError {
  return new NonRetryableError(`${what}${didYouMean(name, known)} There are ${known.join(", ") || "none"}.`, {
    code: "LLM_TOOL_UNKNOWN",
  });
}

function hash(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
