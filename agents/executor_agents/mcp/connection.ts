/** One connection to an MCP server, in the official client's hands. */
import {
  type CallToolResult,
  Client,
  ProtocolError,
  ProtocolErrorCode,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  StreamableHTTPClientTransport,
  type Tool,
  TRACEPARENT_META_KEY,
  UnauthorizedError,
} from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { didYouMean } from "../../../core/near-miss.ts";
import { compileSchema, type Validator } from "../../../core/schema.ts";
import { type ExecutorContext, NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { version } from "../../../version.ts";
import { boundedFetch } from "../../bounded-fetch.ts";
import { timerMs } from "../deadline.ts";
import { excerpt } from "../foreign-text.ts";
import type { McpServerSettings, ToolAnswer, ToolCall } from "./servers.ts";

export interface McpConnection {
  tools(context: ExecutorContext): Promise<readonly Tool[]>;
  call(call: ToolCall, context: ExecutorContext): Promise<ToolAnswer>;
  close(): Promise<void>;
}

const CONNECT_MS = 30_000;
/** How long a server may take over the question of newer versions before it counts as an older one. */
const PROBE_MS = 5_000;
/** A message of the server: what an output may have (contract.md §1). */
const MAX_MESSAGE_BYTES = 8 * 1_024 * 1_024;
/** A tool's own words on why it failed: a model may have to learn from them. */
const MAX_REASON_CHARS = 2_000;

/** Connects to the server called `name`. `onUnusable` is called when new calls had better connect again. */
export async function openConnection(
  name: string,
  settings: McpServerSettings,
  onUnusable: () => void,
): Promise<McpConnection> {
  const secrets = secretsOf(settings);
  const client = new Client(
    { name: "skein", version },
    { versionNegotiation: { mode: "auto", probe: { timeoutMs: PROBE_MS } } },
  );
  let tools: readonly Tool[] | undefined;
  let calls = 0;
  let hasOverflowed = false;

  /** Nobody can say whose answer it was: all that are waiting on the connection fail. */
  function overflow(): Error {
    hasOverflowed = true;
    void client.close();
    return new Error("the message is too large");
  }

  client.onclose = onUnusable;
  // The transport over stdin and stdout has a limit of its own, and says so in words alone.
  client.onerror = ({ message }) => {
    if (message.includes("exceeded maximum size")) hasOverflowed = true;
  };
  try {
    await client.connect(transportTo(settings, overflow), { timeout: CONNECT_MS });
  } catch (error) {
    await client.close();
    throw failureOf(error);
  }

  async function listTools({ signal, timeoutMs }: ExecutorContext): Promise<readonly Tool[]> {
    const listed = await guarded(signal, () => client.listTools(undefined, { signal, ...timeoutOf(timeoutMs) }));
    tools = listed.tools;
    return tools;
  }

  async function toolNamed(tool: string, context: ExecutorContext): Promise<Tool> {
    // Servers may come by tools while they run.
    const found =
      tools?.find((one) => one.name === tool) ?? (await listTools(context)).find((one) => one.name === tool);
    if (found) return found;
    const known = tools!.map((one) => one.name);
    throw new NonRetryableError(
      `The MCP server "${name}" has no tool "${tool}".${didYouMean(tool, known)} It has ${known.join(", ") || "none"}.`,
      { code: "MCP_TOOL_UNKNOWN" },
    );
  }

  async function guarded<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    calls += 1;
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw failureOf(error);
    } finally {
      calls -= 1;
    }
  }

  function failureOf(error: unknown): TaskError {
    const said = error instanceof Error ? excerpt(error.message, secrets) : "";
    if (hasOverflowed) {
      const message = `A message of the MCP server "${name}" is longer than ${MAX_MESSAGE_BYTES} bytes`;
      const code = "MCP_RESULT_TOO_LARGE";
      return calls <= 1 ? new NonRetryableError(message, { code }) : new TaskError(message, { code });
    }
    if (error instanceof ProtocolError) {
      const message = `The MCP server "${name}" refused the call: ${said} (${error.code})`;
      return error.code === ProtocolErrorCode.InvalidParams
        ? new NonRetryableError(message, { code: "MCP_ARGUMENTS_REFUSED" })
        : new TaskError(message, { code: "MCP_PROTOCOL" });
    }
    if (error instanceof UnauthorizedError || (error instanceof SdkHttpError && [401, 403].includes(error.status))) {
      return new NonRetryableError(`The MCP server "${name}" refused the credentials: ${said}`, {
        code: "MCP_UNAUTHORIZED",
      });
    }
    if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
      return new TaskError(`The MCP server "${name}" did not answer in time`, { code: "MCP_TIMEOUT" });
    }
    if (error instanceof SdkError && error.code === SdkErrorCode.InvalidResult) {
      return new TaskError(`The answer of the MCP server "${name}" is not of the protocol: ${said}`, {
        code: "MCP_PROTOCOL",
      });
    }
    onUnusable();
    return new TaskError(`The MCP server "${name}" cannot be reached: ${said}`, { code: "MCP_UNREACHABLE" });
  }

  return {
    tools: async (context) => tools ?? (await listTools(context)),
    async call({ tool, args }, context) {
      const { signal, timeoutMs, traceparent, progress: tell } = context;
      const { outputSchema, ...toolDefinition } = await toolNamed(tool, context);
      const _meta = traceparent === undefined ? undefined : { [TRACEPARENT_META_KEY]: traceparent };
      const result = await guarded(signal, () =>
        client.callTool(
          { name: tool, arguments: args, ...(_meta && { _meta }) },
          {
            signal,
            toolDefinition,
            ...timeoutOf(timeoutMs),
            onprogress: ({ progress, total = null, message = null }) => tell({ progress, total, message }),
          },
        ),
      );
      if (!result.isError) {
        const flaw = flawOf(result, outputSchema);
        if (flaw === undefined) return answerOf(result);
        throw new TaskError(`The tool "${tool}" of the MCP server "${name}" broke its contract: the result ${flaw}`, {
          code: "MCP_PROTOCOL",
        });
      }
      const reason = excerpt(textOf(result), secrets, MAX_REASON_CHARS) || "it does not say why";
      throw new TaskError(`The tool "${tool}" of the MCP server "${name}" failed: ${reason}`, {
        code: "MCP_TOOL_FAILED",
      });
    },
    close: () => client.close(),
  };
}

/** All that may be one: settings do not say which is. */
function secretsOf(settings: McpServerSettings): string[] {
  if ("command" in settings) return Object.values(settings.env);
  const headers = Object.values(settings.headers);
  // A server that repeats a key may leave out its scheme.
  const bare = headers.map((value) => value.slice(value.lastIndexOf(" ") + 1));
  return [...headers, ...bare, ...new URL(settings.url).searchParams.values()];
}

function transportTo(settings: McpServerSettings, tooLarge: () => Error) {
  if ("command" in settings) {
    const { command, args, env } = settings;
    return new StdioClientTransport({ command, args, env, stderr: "ignore", maxBufferSize: MAX_MESSAGE_BYTES });
  }
  const { url, headers } = settings;
  const fetch = boundedFetch({ maxBytes: MAX_MESSAGE_BYTES, tooLarge });
  return new StreamableHTTPClientTransport(new URL(url), { fetch, requestInit: { headers } });
}

/** Without one, the SDK would give up after a minute. */
function timeoutOf(timeoutMs: number | undefined): { timeout: number } {
  return { timeout: timerMs(timeoutMs ?? Number.POSITIVE_INFINITY)! };
}

/** By our validator: the SDK's own takes any time that a schema makes it take, and calls its verdict a bad argument. */
function flawOf({ structuredContent }: CallToolResult, outputSchema: unknown): string | undefined {
  if (outputSchema === undefined) return undefined;
  let validator: Validator;
  try {
    validator = compileSchema(outputSchema);
  } catch {
    return undefined; // what we cannot read, we cannot hold against anybody
  }
  const [problem] = validator.findProblems(structuredContent ?? null);
  return problem && `${problem.pointer} ${problem.message}`;
}

function answerOf(result: CallToolResult): ToolAnswer {
  const hasMore = result.content.some(({ type }) => type !== "text");
  return {
    result: result.structuredContent ?? textOf(result),
    ...(hasMore && { content: result.content }),
  };
}

function textOf({ content }: CallToolResult): string {
  return content
    .map((block) => (block.type === "text" ? block.text : ""))
    .filter(Boolean)
    .join("\n");
}
