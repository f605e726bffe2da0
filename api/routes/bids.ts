/** Contract net over HTTP: agents hear what they may bid for, also by long-poll, and bid. */
import type { FastifyRequest } from "fastify";
import {
  type AnnouncementBody,
  announcementsAnswer,
  announcementsQuery,
  bidsAnswer,
  bidsBody,
  MAX_ANNOUNCEMENTS,
} from "../../core/protocol/bids.ts";
import type { AgentIdentity, Announcement } from "../../store/store.ts";
import { actingAgent } from "../auth.ts";
import { type ApiContext, type App, goneSignal } from "../context.ts";
import { lookUntil, type News } from "../wakeups.ts";
import { agentNotFound, agentParams } from "./agents.ts";

export async function bidRoutes(app: App, { store, wakeups, bidsDecided }: ApiContext): Promise<void> {
  app.get(
    "/agents/:agent/announcements",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Hear what the agent may bid for",
        description:
          "Tasks that are allocated by contract-net, of capabilities registered with `bids: true`; long-polls up to `wait` seconds. An announcement comes again until it is answered or its window is over.",
        params: agentParams,
        querystring: announcementsQuery,
        response: { 200: announcementsAnswer },
      },
    },
    async (request, reply) => {
      const self = selfOf(request, request.params.agent);
      const matches = ({ namespace, announced }: News) =>
        namespace === self.namespace && announced.some((name) => self.capabilities.includes(name));
      const announced = await lookUntil(
        wakeups,
        { matches, waitMs: request.query.wait * 1000, gone: goneSignal(reply) },
        async () => (self.isCordoned ? [] : store.leases.announcements(self.id, MAX_ANNOUNCEMENTS)),
        (tasks) => tasks.length > 0,
      );
      return { announcements: (announced ?? []).map(announcementBody) };
    },
  );

  app.post(
    "/agents/:agent/bids",
    {
      config: { scope: "agent" },
      schema: {
        tags: ["work"],
        summary: "Bid for tasks",
        description:
          "Per bid `accepted`, `late` (the round is over, or the task is not to be had any more) or `unknown` (the agent was not asked). A bid takes the place of one before, while the round lasts.",
        params: agentParams,
        body: bidsBody,
        response: { 200: bidsAnswer },
      },
    },
    async (request) => {
      const self = selfOf(request, request.params.agent);
      const { bids } = request.body;
      const { answers, isDecided } = await store.leases.bid(
        { namespace: self.namespace, agentId: self.id },
        bids.map(({ task_id, round, bid }) => ({ taskId: task_id, round, amount: bid })),
      );
      if (isDecided) bidsDecided();
      return { bids: bids.map(({ task_id, round }, i) => ({ task_id, round, result: answers[i]! })) };
    },
  );
}

/** Throws for the id of another agent: whose announcements and bids they are, the token says. */
function selfOf(request: FastifyRequest, agentId: string): AgentIdentity {
  const self = actingAgent(request);
  if (self.id !== agentId) throw agentNotFound(agentId);
  return self;
}

function announcementBody(announced: Announcement): AnnouncementBody {
  return {
    task_id: announced.taskId,
    run_id: announced.runId,
    key: announced.key,
    capability: announced.capability,
    attempt: announced.attempt,
    round: announced.round,
    window_left_ms: announced.windowLeftMs,
    input: announced.input,
  };
}
