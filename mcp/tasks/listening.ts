/**
 * `notifications/tasks`: who listens to tasks hears how each stands, at once and whenever something has happened to it. The
 * SDK's streams know no filters of extensions. So it is asked for the runs as resources, and what it tells of them is put into
 * the words of the extension on its way out.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  type JSONRPCRequest,
  MissingRequiredClientCapabilityError,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import type { JsonObject } from "../../core/json.ts";
import { isTerminalRun } from "../../core/run.ts";
import type { Client } from "../../sdk/client.ts";
import { type Refusal, refusalOf } from "../subscriptions.ts";
import { requiredCapabilities, TASKS_EXTENSION, taskOfRun } from "./extension.ts";

const listenRequest = z.looseObject({
  id: z.union([z.string(), z.number()]),
  method: z.literal("subscriptions/listen"),
  params: z.looseObject({
    notifications: z.looseObject({
      taskIds: z.array(z.string()).min(1),
      resourceSubscriptions: z.array(z.string()).default([]),
    }),
    _meta: z.looseObject({ [CLIENT_CAPABILITIES_META_KEY]: z.looseObject({}).optional() }),
  }),
});

interface Told {
  method?: string;
  params?: JsonObject & { uri?: string; notifications?: JsonObject; _meta?: JsonObject };
}

export interface TaskListening {
  /** The request, as the SDK understands it. */
  body: JSONRPCRequest;
  /** What a message of the SDK is to this client: itself, or others. */
  translate(message: unknown): Promise<unknown[]>;
}

const uriOf = (taskId: string) => `skein://runs/${taskId}`;

/** Undefined for what does not ask to listen to tasks; a refusal for a client that does not know them. */
export function listeningToTasks(client: Client, body: unknown): TaskListening | Refusal | undefined {
  const request = listenRequest.safeParse(body);
  if (!request.success) return undefined;
  const { id, params } = request.data;
  const { taskIds, resourceSubscriptions: own, ...others } = params.notifications;
  const capabilities = (params._meta[CLIENT_CAPABILITIES_META_KEY] ?? {}) as ClientCapabilities;
  if (capabilities.extensions?.[TASKS_EXTENSION] === undefined) {
    return refusalOf(id, new MissingRequiredClientCapabilityError({ requiredCapabilities }));
  }
  const tasks = new Map(taskIds.map((id) => [uriOf(id), id]));
  const ended = new Set<string>();

  /** A task that has ended is told of once: nothing more comes of it. */
  async function stateOf(taskId: string, meta: JsonObject | undefined): Promise<unknown[]> {
    if (ended.has(taskId)) return [];
    try {
      const run = await client.runs.get(taskId);
      const task = await taskOfRun(client, run, capabilities);
      if (isTerminalRun(run.status)) ended.add(taskId);
      return [{ jsonrpc: "2.0", method: "notifications/tasks", params: { ...task, _meta: meta } }];
    } catch {
      // Who asks for the task is told why.
      return [];
    }
  }

  return {
    body: {
      ...request.data,
      jsonrpc: "2.0",
      params: {
        ...params,
        notifications: { ...others, resourceSubscriptions: [...new Set([...own, ...tasks.keys()])] },
      },
    },
    async translate(message) {
      const { method, params: told = {} } = message as Told;
      if (method === "notifications/subscriptions/acknowledged") {
        const { resourceSubscriptions: _, ...accepted } = told.notifications ?? {};
        const notifications = { ...accepted, ...(own.length > 0 && { resourceSubscriptions: own }), taskIds };
        const states = await Promise.all(taskIds.map((id) => stateOf(id, told._meta)));
        return [{ ...(message as object), params: { ...told, notifications } }, ...states.flat()];
      }
      const taskId = method === "notifications/resources/updated" ? tasks.get(told.uri ?? "") : undefined;
      if (taskId === undefined) return [message];
      return [...(own.includes(uriOf(taskId)) ? [message] : []), ...(await stateOf(taskId, told._meta))];
    },
  };
}

/** The same event stream, with each of its messages translated. */
export function translated(response: Response, translate: TaskListening["translate"]): Response {
  if (!response.body || !/event-stream/.test(response.headers.get("content-type") ?? "")) return response;
  let text = "";
  const frames = new TransformStream<string, string>({
    async transform(chunk, controller) {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
        const frame = text.slice(0, end);
        text = text.slice(end + 2);
        const data = /^data: (.+)$/m.exec(frame)?.[1];
        if (data === undefined) controller.enqueue(`${frame}\n\n`);
        else {
          for (const one of await translate(JSON.parse(data)))
            controller.enqueue(`event: message\ndata: ${JSON.stringify(one)}\n\n`);
        }
      }
    },
  });
  const { status, statusText, headers } = response;
  const body = response.body
    .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
    .pipeThrough(frames)
    .pipeThrough(new TextEncoderStream() as unknown as TransformStream<string, Uint8Array>);
  return new Response(body, { status, statusText, headers });
}
