/** News of runs for a process that is no orchestrator: it follows the events of those that somebody has subscribed to. */
import {
  type JSONRPCMessage,
  type McpServer,
  type ServerEventBus,
  SUBSCRIPTION_ID_META_KEY,
  type Transport,
} from "@modelcontextprotocol/server";
import type { Client } from "../sdk/client.ts";
import { asksToListen, type FollowRun, listeningTo } from "./subscriptions.ts";
import { listeningToTasks, type TaskListening } from "./tasks/listening.ts";

/** `changed` is called for every event of a followed run, those that it had before, too. What cannot be followed is silent. */
export function createFollower(client: Client, changed: (runId: string) => void): { follow: FollowRun; close(): void } {
  const followed = new Map<string, { times: number; stop: AbortController }>();

  async function listen(runId: string, { signal }: AbortController) {
    try {
      for await (const _ of client.runs.events(runId, undefined, signal)) changed(runId);
    } catch {
      // The run is gone, or nobody wants to hear of it any more.
    }
  }

  return {
    follow(runId) {
      const known = followed.get(runId);
      const entry = known ?? { times: 0, stop: new AbortController() };
      if (!known) {
        followed.set(runId, entry);
        void listen(runId, entry.stop);
      }
      entry.times++;
      let isReleased = false;
      return () => {
        if (isReleased) return;
        isReleased = true;
        if (--entry.times > 0) return;
        entry.stop.abort();
        followed.delete(runId);
      };
    },
    close() {
      for (const { stop } of followed.values()) stop.abort();
      followed.clear();
    },
  };
}

/** The SDK passes on to the client what it asked for with `subscriptions/listen`, and drops the rest. */
export function tellAll({ server }: McpServer, bus: ServerEventBus): void {
  bus.subscribe((event) => {
    if (event.kind === "resource_updated") server.sendResourceUpdated({ uri: event.uri }).catch(() => {});
  });
}

/**
 * Over stdio `subscriptions/listen` is answered by the SDK before a server sees it. So what it asks for is looked at on its
 * way: what the key may not read is refused, and the runs are followed until the client cancels it.
 */
export function listeningTransport(inner: Transport, client: Client, follow: FollowRun): Transport {
  /** What ends them, by the id of the request; undefined while it is looked at. */
  const listening = new Map<string | number, (() => void)[] | undefined>();
  /** Who listens to tasks is told in other words. */
  const translators = new Map<unknown, TaskListening>();
  const outer: Transport = {
    start: () => inner.start(),
    async send(message, options) {
      const translator = translators.get(subscriptionOf(message));
      if (!translator) return inner.send(message, options);
      for (const one of await translator.translate(message)) await inner.send(one as JSONRPCMessage, options);
    },
    close: () => inner.close(),
  };
  const listen = async (message: JSONRPCMessage & { id: string | number }) => {
    const { id } = message;
    listening.set(id, undefined);
    const asked = await listeningTo(client, message);
    if (!listening.has(id)) return;
    if (asked?.refusal) {
      listening.delete(id);
      translators.delete(id);
      await inner.send(asked.refusal);
      return;
    }
    listening.set(id, asked?.runs.map(follow));
    outer.onmessage?.(message);
  };
  inner.onmessage = (received, extra) => {
    const tasks = listeningToTasks(client, received);
    if (tasks && "error" in tasks) {
      inner.send(tasks).catch((error) => outer.onerror?.(error));
      return;
    }
    const message = tasks ? tasks.body : received;
    if (tasks) translators.set(tasks.body.id, tasks);
    if (asksToListen(message)) {
      listen(message).catch((error) => outer.onerror?.(error));
      return;
    }
    const id = cancelledId(message);
    if (id !== undefined) {
      for (const release of listening.get(id) ?? []) release();
      listening.delete(id);
      translators.delete(id);
    }
    outer.onmessage?.(message, extra);
  };
  inner.onerror = (error) => outer.onerror?.(error);
  inner.onclose = () => outer.onclose?.();
  return outer;
}

function subscriptionOf(message: JSONRPCMessage): unknown {
  return "method" in message ? message.params?._meta?.[SUBSCRIPTION_ID_META_KEY] : undefined;
}

function cancelledId(message: JSONRPCMessage): string | number | undefined {
  if (!("method" in message) || message.method !== "notifications/cancelled") return undefined;
  const id = message.params?.requestId;
  return typeof id === "string" || typeof id === "number" ? id : undefined;
}
