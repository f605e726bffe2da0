/** Messages between agents: sent, read by long-poll or as a stream, acknowledged, replied to; and topics. */
import { z } from "zod";
import type { Refusal } from "../../core/agent-data.ts";
import { SkeinError } from "../../core/errors.ts";
import {
  acknowledgeAnswer,
  acknowledgeBody,
  inboxAnswer,
  inboxHeaders,
  inboxQuery,
  messagesAnswer,
  messagesBody,
  replyAnswer,
  replyQuery,
  subscription,
  topicName,
} from "../../core/protocol/agent-data.ts";
import { uuid } from "../../core/protocol/common.ts";
import type { Acknowledgement, InboxPage, InboxRequest, SendRequest, SentMessage } from "../../store/store.ts";
import { newMessageOf } from "../agent-data.ts";
import { senderOf } from "../auth.ts";
import { coalesce } from "../coalesce.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { createNumberedWaits } from "../numbered-waits.ts";
import { type EventStream, numberOf, STREAM_LOOKS_MS } from "../streams.ts";
import { messageBody, subscriptionBody } from "../wire.ts";
import { accepted, ownerOf, ownerParams } from "./agent-data.ts";

type Sent = SentMessage[] | Refusal;

const withMessages = { security: [{ apiKey: ["messages"] }, { agentToken: [] as [] }] };
const subscriptionParams = ownerParams.extend({ topic: topicName });
const replyParams = z.object({ message: uuid });

/** Requests that come at the same time share a transaction: of so many, since each may be large. */
const REQUESTS_TOGETHER = 50;
/** Messages of a stream read at once. */
const MESSAGES_PER_READ = 100;

export async function messageRoutes(app: App, { store, wakeups, streams }: ApiContext): Promise<void> {
  const together = { maxItems: REQUESTS_TOGETHER };
  const sendTogether = coalesce<SendRequest, Sent>((requests) => store.agentData.send(requests), together);
  const readTogether = coalesce<InboxRequest, InboxPage>((requests) => store.agentData.inboxes(requests), together);
  const acknowledgeTogether = coalesce<Acknowledgement, number>(
    (requests) => store.agentData.acknowledge(requests),
    together,
  );
  const waits = createNumberedWaits(
    { heard: ({ inboxes }) => inboxes, lastNumbers: (inboxes) => store.agentData.lastNumbers(inboxes) },
    wakeups,
  );

  async function readOne(request: InboxRequest): Promise<InboxPage> {
    const [page] = await readTogether([request]);
    return page!;
  }

  app.post(
    "/messages",
    {
      // As a report, which may send the same.
      config: { limit: "reportBytes" },
      schema: {
        tags: ["messages"],
        summary: "Send messages",
        description:
          "To an agent, a topic or all, all of the messages or none. The sender is who the token says. A message is kept until it is acknowledged or its `ttl` is over; under one `key` of a sender it is sent once.",
        ...withMessages,
        body: messagesBody,
        response: { 201: messagesAnswer },
      },
    },
    async (request, reply) => {
      const from = senderOf(request, "messages");
      const messages = request.body.messages.map(newMessageOf);
      const [sent] = await sendTogether([{ namespace: request.principal.namespace, from, messages }]);
      return reply.code(201).send({ messages: accepted(sent!) });
    },
  );

  app.get(
    "/messages/:message/reply",
    {
      schema: {
        tags: ["messages"],
        summary: "The reply to a message",
        description:
          "To one that was sent with `expects_reply`: the first message that names it in `reply_to`, or one of type `no_reply` once the time is over; long-polls up to `wait` seconds. The reply is in the asker's inbox, to be acknowledged there.",
        ...withMessages,
        params: replyParams,
        querystring: replyQuery,
        response: { 200: replyAnswer },
      },
    },
    async (request, reply) => {
      const { principal } = request;
      senderOf(request, "messages");
      const { message: id } = request.params;
      const find = async () => {
        const found = await store.agentData.reply(principal.namespace, id);
        if (found && (!principal.agent || principal.agent.name === found.asker)) return found;
        throw new SkeinError(
          "MESSAGE_NOT_FOUND",
          `No message ${id} of yours awaits a reply; send it with \`expects_reply\`, and ask within a week of the answer.`,
        );
      };
      const until = performance.now() + request.query.wait * 1000;
      const gone = goneSignal(reply);
      let found = await find();
      const wait = waits.enter(principal.namespace, found.asker);
      try {
        while (!found.message && !gone.aborted && !wakeups.isClosed && performance.now() < until) {
          const [number] = await store.agentData.lastNumbers([{ namespace: principal.namespace, name: found.asker }]);
          found = await find();
          if (!found.message) await wait.news(number!, until - performance.now(), gone);
        }
      } finally {
        wait.leave();
      }
      return { inbox: found.asker, message: found.message ? messageBody(found.message) : null };
    },
  );

  app.get(
    "/agents/:agent/inbox",
    {
      schema: {
        tags: ["messages"],
        summary: "Read an agent's inbox",
        description:
          "What it has not acknowledged, the oldest first; long-polls up to `wait` seconds. The same messages come again until they are acknowledged, unless `cursor` says where to read on. With `Accept: text/event-stream` a stream of them, each once, without end; `Last-Event-ID` resumes it after that message.",
        ...withMessages,
        params: ownerParams,
        querystring: inboxQuery,
        headers: inboxHeaders,
        response: {
          200: {
            description: "Messages, the oldest first",
            content: {
              "application/json": { schema: inboxAnswer },
              "text/event-stream": { schema: z.string().meta({ description: "`id:` and `data:` of a Message each" }) },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "messages");
      const { namespace } = request.principal;
      const { limit, wait, cursor } = request.query;
      if (streams.isAskedFor(request)) {
        const after = numberOf(request.headers["last-event-id"]) ?? 0;
        await streams.open(request, reply, (stream) => tell(stream, { namespace, name, after }));
        return reply;
      }
      const gone = goneSignal(reply);
      const after = Number(cursor ?? 0);
      const { messages } = await readWithin({ namespace, name, limit, after }, wait * 1000, gone);
      return { messages: messages.map(messageBody), next_cursor: `${messages.at(-1)?.number ?? after}` };
    },
  );

  async function readWithin(request: InboxRequest, waitMs: number, gone: AbortSignal): Promise<InboxPage> {
    if (waitMs === 0) return readOne(request);
    const until = performance.now() + waitMs;
    const wait = waits.enter(request.namespace, request.name);
    try {
      for (;;) {
        const page = await readOne(request);
        const leftMs = until - performance.now();
        if (page.messages.length > 0 || leftMs <= 0 || gone.aborted || wakeups.isClosed) return page;
        await wait.news(page.lastNumber, leftMs, gone);
        if (gone.aborted) return page;
      }
    } finally {
      wait.leave();
    }
  }

  async function tell(
    stream: EventStream,
    { namespace, name, after: from }: { namespace: string; name: string; after: number },
  ): Promise<void> {
    let after = from;
    const wait = waits.enter(namespace, name);
    try {
      while (!stream.stopped.aborted) {
        const { messages, lastNumber } = await readOne({ namespace, name, limit: MESSAGES_PER_READ, after });
        for (const message of messages) stream.write({ id: `${message.number}`, data: messageBody(message) });
        after = messages.at(-1)?.number ?? after;
        await stream.settled();
        if (messages.length < MESSAGES_PER_READ) await wait.news(lastNumber, STREAM_LOOKS_MS, stream.stopped);
      }
    } finally {
      wait.leave();
    }
  }

  app.post(
    "/agents/:agent/inbox/ack",
    {
      schema: {
        tags: ["messages"],
        summary: "Acknowledge messages",
        description: "They do not come again.",
        ...withMessages,
        params: ownerParams,
        body: acknowledgeBody,
        response: { 200: acknowledgeAnswer },
      },
    },
    async (request) => {
      const name = await ownerOf(store, request, "messages");
      const { namespace } = request.principal;
      const [acknowledged] = await acknowledgeTogether([{ namespace, name, ids: request.body.ids }]);
      return { acknowledged: acknowledged! };
    },
  );

  app.get(
    "/agents/:agent/subscriptions",
    {
      schema: {
        tags: ["messages"],
        summary: "List the topics that an agent is subscribed to",
        ...withMessages,
        params: ownerParams,
        response: { 200: z.object({ data: z.array(subscription) }) },
      },
    },
    async (request) => {
      const name = await ownerOf(store, request, "messages");
      const subscriptions = await store.agentData.subscriptions(request.principal.namespace, name);
      return { data: subscriptions.map(subscriptionBody) };
    },
  );

  app.put(
    "/agents/:agent/subscriptions/:topic",
    {
      schema: {
        tags: ["messages"],
        summary: "Subscribe an agent to a topic",
        description:
          "Its inbox has what is said to the topic from now on, also while the agent is away. Subscribing again changes nothing.",
        ...withMessages,
        params: subscriptionParams,
        response: { 200: subscription },
      },
    },
    async (request) => {
      const name = await ownerOf(store, request, "messages");
      const { topic } = request.params;
      return subscriptionBody(accepted(await store.agentData.subscribe(request.principal.namespace, name, topic)));
    },
  );

  app.delete(
    "/agents/:agent/subscriptions/:topic",
    {
      schema: {
        tags: ["messages"],
        summary: "End an agent's subscription",
        description: "What its inbox has stays there.",
        ...withMessages,
        params: subscriptionParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const name = await ownerOf(store, request, "messages");
      await store.agentData.unsubscribe(request.principal.namespace, name, request.params.topic);
      return reply.code(204).send(null);
    },
  );
}
