/** Conversations under a protocol: started, spoken in, read, drawn. */
import type { FastifyRequest } from "fastify";
import { uuidv7 } from "uuidv7";
import { z } from "zod";
import { conversationMermaid } from "../../core/conversation/diagram.ts";
import { conversationSvg } from "../../core/conversation/diagram-svg.ts";
import { isFor, type TranscriptEntry } from "../../core/conversation/transcript.ts";
import { readConversation, refusalError } from "../../core/conversation.ts";
import { SkeinError } from "../../core/errors.ts";
import { canonicalJson, isJsonObject } from "../../core/json.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import {
  type ConversationBody,
  cancelConversationBody,
  conversation,
  conversationBody,
  conversationQuery,
  conversationsQuery,
  diagramQuery,
  leaveConversationBody,
  transcript,
  transcriptQuery,
  utteranceAnswer,
  utteranceBody,
} from "../../core/protocol/conversations.ts";
import type { Conversation } from "../../store/store.ts";
import { actingAgent, requireScope } from "../auth.ts";
import { requireStorable } from "../bodies.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { idempotencyKey, keyReused } from "../idempotency.ts";
import { lookUntil, type News } from "../wakeups.ts";
import { conversationRecord, pageBody } from "../wire.ts";
import { pictureHeaders } from "./pictures.ts";

const params = z.object({ conversation: uuid });
const withMessages = { security: [{ apiKey: ["messages"] }, { agentToken: [] as [] }] };
/** Rows of a diagram come from so many entries. */
const MAX_DRAWN = 10_000;
const mediaTypes = { mermaid: "text/vnd.mermaid", svg: "image/svg+xml" };

export async function conversationRoutes(app: App, { store, wakeups, limits }: ApiContext): Promise<void> {
  /** An agent sees the conversations that it is a member of; a key with the scope, all of its namespace. */
  async function find(request: FastifyRequest, id: string): Promise<Conversation> {
    const { principal } = request;
    if (!principal.agent) requireScope(principal, "messages");
    const found = await store.conversations.find(principal.namespace, id);
    const isMember = (name: string) => found?.state?.members.some((member) => member.name === name) === true;
    if (!found || (principal.agent && !isMember(principal.agent.name))) throw notFound(id);
    return found;
  }

  /** A member reads what it has said, and what it was told; who has the scope, everything. */
  async function entriesFor(
    { principal: { agent } }: FastifyRequest,
    { namespace, id }: Conversation,
    page: { after: number; limit: number },
  ): Promise<TranscriptEntry[]> {
    const found: TranscriptEntry[] = [];
    for (let { after } = page; ; ) {
      const entries = await store.conversations.transcript(namespace, id, { after, limit: page.limit });
      found.push(...entries.filter((entry) => !agent || isFor(entry, agent.name)));
      if (!agent || entries.length < page.limit || found.length >= page.limit) return found.slice(0, page.limit);
      after = entries.at(-1)!.seq;
    }
  }

  /** To a member the result is what it was told of it. */
  async function recordFor(request: FastifyRequest, found: Conversation): Promise<ConversationBody> {
    const record = conversationRecord(found);
    if (!request.principal.agent || record.result === null) return record;
    const [last] = await entriesFor(request, found, { after: found.state!.seq - 1, limit: 1 });
    const told = last?.type === "ended" && isJsonObject(last.body) ? (last.body.result ?? null) : null;
    return { ...record, result: told };
  }

  app.post(
    "/conversations",
    {
      config: { scope: "messages" },
      schema: {
        tags: ["conversations"],
        summary: "Start a conversation",
        description:
          "Its members are agents by name. They are told in their inboxes when they have the floor, and speak with `POST …/messages`. With an `Idempotency-Key` it is started once.",
        body: conversationBody,
        response: { 201: conversation },
      },
    },
    async (request, reply) => {
      requireStorable(request, request.body as never, "", limits.jsonDepth);
      const parameters = readConversation(request.body);
      const { namespace, name: by } = request.principal;
      const key = idempotencyKey(request) ?? null;
      const started = await store.conversations.start({ namespace, id: uuidv7(), parameters, by, key });
      if (canonicalJson(started.parameters as never) !== canonicalJson(parameters as never)) {
        throw keyReused("started another conversation", "use a new key for a new one");
      }
      return reply.code(201).header("location", `/v1/conversations/${started.id}`).send(conversationRecord(started));
    },
  );

  app.get(
    "/conversations",
    {
      schema: {
        tags: ["conversations"],
        summary: "List conversations, newest first",
        description: "An agent is shown those that it is a member of.",
        ...withMessages,
        querystring: conversationsQuery,
        response: { 200: pageOf(conversation) },
      },
    },
    async (request) => {
      const { principal } = request;
      if (!principal.agent) requireScope(principal, "messages");
      const filter = { ...request.query, member: principal.agent?.name };
      // A list is for finding one: what members may not know of one another stays out of it.
      const listed = (one: Conversation) => ({ ...conversationRecord(one), ...(principal.agent && { result: null }) });
      return pageBody(await store.conversations.list(principal.namespace, filter), listed);
    },
  );

  app.get(
    "/conversations/:conversation",
    {
      schema: {
        tags: ["conversations"],
        summary: "Read a conversation",
        description: "Who has the floor, and how it ended; with `wait` it waits up to so many seconds for its end.",
        ...withMessages,
        params,
        querystring: conversationQuery,
        response: { 200: conversation },
      },
    },
    async (request, reply) => {
      const { conversation: id } = request.params;
      const matches = ({ conversations }: News) => conversations.includes(id);
      const wait = { matches, waitMs: request.query.wait * 1000, gone: goneSignal(reply) };
      const look = () => find(request, id);
      const found = (await lookUntil(wakeups, wait, look, ({ status }) => status !== "open")) ?? (await look());
      return recordFor(request, found);
    },
  );

  app.get(
    "/conversations/:conversation/transcript",
    {
      schema: {
        tags: ["conversations"],
        summary: "Read what was said",
        description:
          "And what was not accepted, and who was silent; in order. An agent reads what it has said and what it was told: sealed bids and ballots of others are not for it.",
        ...withMessages,
        params,
        querystring: transcriptQuery,
        response: { 200: transcript },
      },
    },
    async (request) => {
      const found = await find(request, request.params.conversation);
      const entries = await entriesFor(request, found, request.query);
      return { data: entries.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() })) };
    },
  );

  app.get(
    "/conversations/:conversation/graph",
    {
      schema: {
        tags: ["conversations"],
        summary: "Draw what was said",
        description: "A sequence diagram, as Mermaid or SVG.",
        ...withMessages,
        params,
        querystring: diagramQuery,
        response: {
          200: {
            description: "The diagram, in the format asked for",
            content: Object.fromEntries(Object.values(mediaTypes).map((type) => [type, { schema: z.unknown() }])),
          },
        },
      },
    },
    async (request, reply) => {
      const found = await find(request, request.params.conversation);
      const { parameters, state } = found;
      const entries = await entriesFor(request, found, { after: 0, limit: MAX_DRAWN });
      const members = (state?.members ?? []).map(({ name }) => name);
      const view = { protocol: parameters.protocol, topic: state?.topic ?? null, members, entries };
      const { format } = request.query;
      const text = format === "svg" ? conversationSvg(view) : conversationMermaid(view);
      return reply
        .headers(pictureHeaders)
        .type(`${mediaTypes[format]}; charset=utf-8`)
        .serializer(String)
        .send(text as never);
    },
  );

  app.post(
    "/conversations/:conversation/messages",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["conversations"],
        summary: "Speak in a conversation",
        description:
          "As the agent whose token it is. What the rules refuse is told with a code, stands in the transcript, and may cost a strike.",
        params,
        body: utteranceBody,
        response: { 201: utteranceAnswer },
      },
    },
    async (request, reply) => {
      const { name } = actingAgent(request);
      const { id = uuidv7(), type, body = {} } = request.body;
      requireStorable(request, body, "/body", limits.jsonDepth);
      const { conversation } = request.params;
      const utterance = { from: name, id, type, body };
      const heard = await store.conversations.say(request.principal.namespace, conversation, utterance);
      if (!heard) throw notFound(conversation);
      if (heard.result === "refused") throw refusalError(heard.refusal);
      return reply.code(201).send({ id, repeated: heard.result === "repeated" });
    },
  );

  app.post(
    "/conversations/:conversation/leave",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["conversations"],
        summary: "Leave a conversation for good",
        params,
        body: leaveConversationBody,
        response: { 200: conversation },
      },
    },
    async (request) => {
      const { name } = actingAgent(request);
      const { conversation: id } = request.params;
      const left = await store.conversations.leave(request.principal.namespace, id, name);
      const isMember = left?.state?.members.some((member) => member.name === name);
      if (!left || !isMember) throw notFound(id);
      return recordFor(request, left);
    },
  );

  app.post(
    "/conversations/:conversation/cancel",
    {
      config: { scope: "messages" },
      schema: {
        tags: ["conversations"],
        summary: "Cancel a conversation",
        description: "One that is over stays as it is.",
        params,
        body: cancelConversationBody,
        response: { 200: conversation },
      },
    },
    async (request) => {
      const { conversation: id } = request.params;
      const reason = request.body?.reason ?? `Cancelled by ${request.principal.name}.`;
      const cancelled = await store.conversations.cancel(request.principal.namespace, id, reason);
      if (!cancelled) throw notFound(id);
      return conversationRecord(cancelled);
    },
  );
}

function notFound(id: string): SkeinError {
  return new SkeinError("CONVERSATION_NOT_FOUND", `There is no conversation ${id} that is yours to see.`);
}
