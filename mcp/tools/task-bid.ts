import { z } from "zod";
import { announcementsAnswer, bidRounds, bidsAnswer, bidsBody } from "../../core/protocol/bids.ts";
import { MAX_WAIT_SECONDS } from "../../core/protocol/common.ts";
import { agentToken } from "../acting.ts";
import { taskOfRun } from "../task-summary.ts";
import { changing, defineTool, readOnly } from "../tool.ts";

const agent_id = z.uuid().describe("As agent_register answered it");

export const bidAnnouncements = defineTool({
  name: "bid_announcements",
  title: "Hear which tasks to bid for",
  description:
    "Tasks that are given to the agent with the lowest bid (capabilities allocated by contract-net), announced to yours and not answered by it yet, waiting up to wait_seconds for one. Answer each with bid_place before window_left_ms is over; what you win comes with task_claim.",
  annotations: readOnly,
  input: z.strictObject({
    agent_id,
    agent_token: agentToken,
    wait_seconds: z.number().min(0).max(MAX_WAIT_SECONDS).default(20).describe("How long to wait for one"),
  }),
  output: announcementsAnswer,
  call: (_client, { agent_id, agent_token, wait_seconds }, { agent, signal }) =>
    agent(agent_token, agent_id).announcements(wait_seconds, signal),
  text: ({ announcements }) =>
    announcements
      .map(
        ({ task_id, round, key, capability, window_left_ms, input }) =>
          `Task ${key} (${capability}), task_id ${task_id}, round ${round}, ${window_left_ms} ms left. Input: ${JSON.stringify(input)}`,
      )
      .join("\n") || "Nothing is announced. Ask again, with wait_seconds to wait.",
});

export const bidPlace = defineTool({
  name: "bid_place",
  title: "Bid for tasks",
  description:
    "Says for how much your agent would do announced tasks; the lowest bid wins, null declines. Answers `accepted`, `late` (the round is over) or `unknown` (you were not asked). task_claim brings what you have won.",
  annotations: changing,
  input: z.strictObject({
    agent_id,
    agent_token: agentToken,
    bids: bidsBody.shape.bids.describe("Such as [{ task_id, round: 1, bid: 0.7 }], as bid_announcements names them"),
  }),
  output: bidsAnswer,
  call: (_client, { agent_id, agent_token, bids }, { agent }) => agent(agent_token, agent_id).bid({ bids }),
  text: ({ bids }) => bids.map(({ task_id, round, result }) => `Task ${task_id}, round ${round}: ${result}`).join("\n"),
});

export const taskBids = defineTool({
  name: "task_bids",
  title: "See who bid for a task",
  description:
    "Of a task that was given to the lowest bidder: each round with its bids, who declined or was silent, and who got it.",
  annotations: readOnly,
  input: z.strictObject(taskOfRun),
  output: bidRounds,
  call: (client, { run_id, task }) => client.runs.bids(run_id, task),
  text: ({ data }) => data.map(roundText).join("\n") || "Nobody was asked to bid for it.",
});

/** `Round 2: ann 0.5, bob declined; awarded to 01…` */
function roundText({ round, bids, awarded_to }: z.infer<typeof bidRounds>["data"][number]): string {
  const said = bids.map(({ agent, agent_id, state, bid }) => `${agent ?? agent_id} ${bid ?? state}`);
  return `Round ${round}: ${said.join(", ") || "no bids"}; ${awarded_to === null ? "not awarded" : `awarded to ${awarded_to}`}`;
}
