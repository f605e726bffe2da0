/** A server that speaks OpenAI's chat-completions protocol, as strict about requests as the real ones, with scripted answers. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { isJsonObject, type Json, type JsonObject } from "../../../core/json.ts";
import { listenLocally } from "../../../test/local-server.ts";

export interface ChatRequest {
  body: JsonObject & { messages: JsonObject[] };
  headers: IncomingHttpHeaders;
  /** Resolves when the client has gone away before it was answered. */
  abandoned: Promise<void>;
}

export type Answer = (response: ServerResponse, body: JsonObject) => void;

export interface ChatServer {
  /** What OPENAI_BASE_URL has to be. */
  url: string;
  requests: ChatRequest[];
  /** What comes next, one after another. A request that nothing is left for is answered 500. */
  answer(...answers: Answer[]): void;
  close(): Promise<void>;
}

export const API_KEY = "sk-a-secret-of-this-test";
const USAGE = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };

export async function startChatServer(): Promise<ChatServer> {
  const requests: ChatRequest[] = [];
  const script: Answer[] = [];
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as ChatRequest["body"];
    const abandoned = new Promise<void>((resolve) =>
      response.on("close", () => void (response.writableFinished || resolve())),
    );
    requests.push({ body, headers: request.headers, abandoned });
    if (request.method !== "POST" || request.url !== "/v1/chat/completions") return fail(404)(response, body);
    if (request.headers.authorization !== `Bearer ${API_KEY}`) {
      return fail(401, `Incorrect API key provided: ${request.headers.authorization}`)(response, body);
    }
    const flaw = flawOf(body);
    if (flaw) return fail(400, flaw)(response, body);
    (script.shift() ?? fail(500, "nothing is left to answer"))(response, body);
  });
  const { url, close } = await listenLocally(server);
  return {
    url: `${url}/v1`,
    requests,
    answer: (...answers) => void script.push(...answers),
    close,
  };
}

export interface Extras {
  finish?: string;
  usage?: JsonObject | null;
}

export const say = (content: string | null, extras: Extras = {}) => message({ content }, { finish: "stop", ...extras });

/** Calls of tools by name; a string as arguments is sent as it is. */
export const call = (calls: [name: string, args: Json][], extras: Extras = {}) =>
  message(
    {
      content: null,
      tool_calls: calls.map(([name, args], i) => ({
        id: `call_${i}`,
        type: "function",
        function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args) },
      })),
    },
    { finish: "tool_calls", ...extras },
  );

export const fail =
  (status: number, text = "no", headers: Record<string, string> = {}): Answer =>
  (response) =>
    send(response, status, { error: { message: text, type: "error", code: null } }, headers);

export const raw =
  (text: string, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(200, { "content-type": "application/json", ...headers }).end(text);

/** Never answers. */
export const silence: Answer = () => {};

function message(content: JsonObject, { finish, usage = USAGE }: Extras): Answer {
  return (response, { model = null }) =>
    send(response, 200, {
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1_700_000_000,
      model,
      choices: [{ index: 0, message: { role: "assistant", ...content }, finish_reason: finish ?? null }],
      ...(usage && { usage }),
    });
}

function send(response: ServerResponse, status: number, body: JsonObject, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** What the real ones refuse. */
function flawOf({ model, messages, response_format: format, tools }: JsonObject): string | undefined {
  if (typeof model !== "string") return "you must provide a model parameter";
  if (!Array.isArray(messages) || messages.length === 0) return "messages must not be empty";
  let open: string[] = [];
  for (const each of messages as JsonObject[]) {
    if (each.role === "tool") {
      if (!open.includes(String(each.tool_call_id))) return "a tool message must answer a tool call";
      open = open.filter((id) => id !== each.tool_call_id);
    } else if (open.length > 0) return "every tool call must be answered";
    if (each.role === "assistant") open = ((each.tool_calls ?? []) as JsonObject[]).map(({ id }) => String(id));
  }
  if (open.length > 0) return "every tool call must be answered";
  if (isJsonObject(format) && format.type === "json_schema") {
    const schema = format.json_schema;
    if (!isJsonObject(schema) || typeof schema.name !== "string") return "json_schema needs a name";
  }
  for (const tool of (tools ?? []) as { function: { name: string; parameters: JsonObject } }[]) {
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(tool.function.name)) return `bad tool name ${tool.function.name}`;
    if (tool.function.parameters.type !== "object") return "parameters must be an object";
  }
  return undefined;
}
