/**
 * The MCP servers that the operator named in SKEIN_MCP_SERVERS: connected to when first called, kept while they are used,
 * let go when idle. Tasks name a server; what is started or reached for it is none of their business.
 */
import type { Tool } from "@modelcontextprotocol/client";
import { didYouMean } from "../../../core/near-miss.ts";
import { type ExecutorContext, NonRetryableError } from "../../../sdk/executor.ts";
import type { McpConnection } from "./connection.ts";

export type McpServerSettings =
  | { command: string; args: string[]; env: Record<string, string> }
  | { url: string; headers: Record<string, string> };

export interface McpServers {
  readonly names: readonly string[];
  /** Throws TaskErrors, MCP_SERVER_UNKNOWN among them. */
  tools(server: string, context: ExecutorContext): Promise<readonly Tool[]>;
  /** Throws TaskErrors; also for what the tool calls an error. */
  call(call: ToolCall, context: ExecutorContext): Promise<ToolAnswer>;
  /** Lets go of what nobody uses. What is called later is connected to again. */
  close(): Promise<void>;
}

export interface ToolCall {
  server: string;
  tool: string;
  args: Record<string, unknown>;
}

export interface ToolAnswer {
  /** What the tool calls its structured content, else its text. */
  result: unknown;
  /** All of the content, if there is more than text. */
  content?: unknown[];
}

interface Entry {
  connection: Promise<McpConnection>;
  users: number;
  idle?: NodeJS.Timeout;
}

const IDLE_MS = 60_000;

export function mcpServers(
  settings: Readonly<Record<string, McpServerSettings>>,
  { idleMs = IDLE_MS }: { idleMs?: number } = {},
): McpServers {
  const entries = new Map<string, Entry>();
  const names = Object.keys(settings);

  /** Loaded when first needed: the SDK takes a while, which a process that never calls a tool need not wait. */
  async function connect(name: string, retire: () => void): Promise<McpConnection> {
    const { openConnection } = await import("./connection.ts");
    return openConnection(name, settings[name]!, retire);
  }

  function entryOf(name: string): Entry {
    const known = entries.get(name);
    if (known) return known;
    if (!Object.hasOwn(settings, name)) {
      throw new NonRetryableError(
        `No MCP server is called "${name}" here.${didYouMean(name, names)} SKEIN_MCP_SERVERS names ${names.join(", ") || "none"}.`,
        { code: "MCP_SERVER_UNKNOWN" },
      );
    }
    const retire = () => {
      if (entries.get(name) === entry) entries.delete(name);
    };
    const entry: Entry = { connection: connect(name, retire), users: 0 };
    entry.connection.catch(retire);
    entries.set(name, entry);
    return entry;
  }

  async function use<T>(name: string, { signal }: ExecutorContext, work: (connection: McpConnection) => Promise<T>) {
    signal.throwIfAborted();
    const entry = entryOf(name);
    entry.users += 1;
    clearTimeout(entry.idle);
    try {
      return await work(await unlessAborted(entry.connection, signal));
    } finally {
      entry.users -= 1;
      if (entry.users === 0 && entries.get(name) !== entry) void letGo(entry);
      else if (entry.users === 0) entry.idle = setTimeout(() => void drop(name, entry), idleMs).unref();
    }
  }

  async function drop(name: string, entry: Entry): Promise<void> {
    if (entry.users > 0) return;
    clearTimeout(entry.idle);
    if (entries.get(name) === entry) entries.delete(name);
    await letGo(entry);
  }

  return {
    names,
    tools: (server, context) => use(server, context, (connection) => connection.tools(context)),
    call: (call, context) => use(call.server, context, (connection) => connection.call(call, context)),
    async close() {
      await Promise.all(Array.from(entries, ([name, entry]) => drop(name, entry)));
    },
  };
}

async function letGo({ connection }: Entry): Promise<void> {
  const opened = await connection.catch(() => undefined);
  await opened?.close();
}

/** Others may wait for the same thing: it goes on without the one that was aborted. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
