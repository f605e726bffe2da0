/**
 * Subscriptions to runs, as resources: who subscribed hears that one has changed, and reads it again. Clients of 2026-07-28
 * hear it on a stream of `subscriptions/listen`, those of the 2025 versions on the stream of their session.
 */
import {
  InMemoryServerEventBus,
  type JSONRPCMessage,
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  type ServerEventBus,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { SkeinError } from "../core/errors.ts";
import { uuid } from "../core/protocol/common.ts";
import type { Client } from "../sdk/client.ts";
import { protocolError } from "./protocol-error.ts";
import { runResourcePaths } from "./resources/runs.ts";

/** Of a run that is busy, changes within this long are told as one. */
const TELL_EVERY_MS = 250;
/** Of one session, or one stream. */
const MAX_SUBSCRIPTIONS = 1_000;

/** Carries to whoever subscribed which resources have changed. */
export function createRunBus() {
  const bus = new InMemoryServerEventBus();
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const tell = () => {
    timer = undefined;
    for (const id of changed) {
      for (const path of runResourcePaths) bus.publish({ kind: "resource_updated", uri: `skein://runs/${id}${path}` });
    }
    changed.clear();
  };
  return {
    bus,
    /** Something has happened to the run. */
    runChanged(id: string) {
      if (bus.listenerCount === 0) return;
      changed.add(id);
      timer ??= setTimeout(tell, TELL_EVERY_MS).unref();
    },
    close: () => clearTimeout(timer),
  };
}

/** Begins to look after what happens to a run, until what it returns is called. */
export type FollowRun = (runId: string) => () => void;

/** Lets the client of a session subscribe. Where nobody tells of runs by itself, `follow` is asked to. */
export function offerSubscriptions(server: McpServer, client: Client, bus: ServerEventBus, follow?: FollowRun): void {
  const rpc = server.server;
  const subscribed = new Map<string, (() => void) | undefined>();
  let stop: (() => void) | undefined;
  rpc.setRequestHandler("resources/subscribe", async ({ params: { uri } }) => {
    if (subscribed.size >= MAX_SUBSCRIPTIONS && !subscribed.has(uri)) throw tooMany();
    const runId = await requireReadable(client, uri);
    if (!subscribed.has(uri)) subscribed.set(uri, follow?.(runId));
    stop ??= bus.subscribe((event) => {
      if (event.kind !== "resource_updated" || !subscribed.has(event.uri)) return;
      // Without a stream there is nobody to tell, and nothing is kept for them.
      rpc.sendResourceUpdated({ uri: event.uri }).catch(() => {});
    });
    return {};
  });
  rpc.setRequestHandler("resources/unsubscribe", async ({ params: { uri } }) => {
    subscribed.get(uri)?.();
    subscribed.delete(uri);
    return {};
  });
  const closed = rpc.onclose;
  rpc.onclose = () => {
    stop?.();
    for (const release of subscribed.values()) release?.();
    closed?.();
  };
}

const listenRequest = z.object({
  id: z.union([z.string(), z.number()]),
  method: z.literal("subscriptions/listen"),
  params: z.object({ notifications: z.object({ resourceSubscriptions: z.array(z.string()).min(1) }) }),
});

/** Whether a message asks to listen to resources. */
export function asksToListen(message: JSONRPCMessage): message is JSONRPCMessage & { id: string | number } {
  return listenRequest.safeParse(message).success;
}

export interface Refusal {
  jsonrpc: "2.0";
  id: string | number;
  error: { code: number; message: string; data: unknown };
}

/**
 * What a message asks to listen to: the runs, if its caller may read all of them, else the refusal; undefined for other
 * messages, and for those that ask for nothing of ours.
 */
export async function listeningTo(
  client: Client,
  message: unknown,
): Promise<{ id: string | number; runs: string[]; refusal?: Refusal } | undefined> {
  const request = listenRequest.safeParse(message);
  if (!request.success) return undefined;
  const { id, params } = request.data;
  const uris = new Set(params.notifications.resourceSubscriptions);
  try {
    if (uris.size > MAX_SUBSCRIPTIONS) throw tooMany();
    const runs: string[] = [];
    for (const uri of uris) runs.push(await requireReadable(client, uri));
    return { id, runs: [...new Set(runs)] };
  } catch (error) {
    return { id, runs: [], refusal: refusalOf(id, error) };
  }
}

/** Throws what is no error of the protocol. */
export function refusalOf(id: string | number, error: unknown): Refusal {
  if (!(error instanceof ProtocolError)) throw error;
  const { code, message, data } = error;
  return { jsonrpc: "2.0", id, error: { code, message, data } };
}

function tooMany(): ProtocolError {
  return new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `At most ${MAX_SUBSCRIPTIONS} resources can be subscribed to.`,
  );
}

/** That there are news of a run is nothing that strangers may hear. Answers with the run's id. */
async function requireReadable(client: Client, uri: string): Promise<string> {
  const [, id, path = ""] = /^skein:\/\/runs\/([^/]+)(\/.*)?$/.exec(uri) ?? [];
  if (!uuid.safeParse(id).success || !runResourcePaths.includes(path)) throw new ResourceNotFoundError(uri);
  await client.runs.get(id!).catch((error) => {
    if (error instanceof SkeinError && error.code === "RUN_NOT_FOUND") throw new ResourceNotFoundError(uri);
    throw protocolError(error);
  });
  return id!;
}
