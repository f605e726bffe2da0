import { z } from "zod";
import { subscription, topicName } from "../../core/protocol/agent-data.ts";
import { ofAgent } from "../acting.ts";
import { defineTool, readOnly, settling } from "../tool.ts";

const input = z.strictObject({ ...ofAgent, topic: topicName.describe("Such as `geese` or `project.news`") });

export const topicSubscribe = defineTool({
  name: "topic_subscribe",
  title: "Subscribe to a topic",
  description:
    "From now on the agent's inbox has what is said on the topic (message_send to { topic }). Repeating it changes nothing.",
  annotations: settling,
  input,
  output: z.object(subscription.shape),
  call: (_client, { agent, agent_token, topic }, { as }) => as(agent_token).agentData(agent).subscriptions.add(topic),
  text: ({ topic, created_at }) => `Subscribed to ${topic} since ${created_at}.`,
});

export const topicUnsubscribe = defineTool({
  name: "topic_unsubscribe",
  title: "Unsubscribe from a topic",
  description:
    "What is said on the topic from now on does not come to the agent's inbox any more; what is there stays. Repeating it changes nothing.",
  annotations: settling,
  input,
  output: z.object({ topic: z.string() }),
  async call(_client, { agent, agent_token, topic }, { as }) {
    await as(agent_token).agentData(agent).subscriptions.remove(topic);
    return { topic };
  },
  text: ({ topic }) => `Not subscribed to ${topic} any more.`,
});

export const topicList = defineTool({
  name: "topic_list",
  title: "List an agent's topics",
  description: "The topics that an agent is subscribed to: what is said on them comes to its inbox.",
  annotations: readOnly,
  input: z.strictObject(ofAgent),
  output: z.object({ data: z.array(z.object(subscription.shape)) }),
  call: (_client, { agent, agent_token }, { as }) => as(agent_token).agentData(agent).subscriptions.list(),
  text: ({ data }) => data.map(({ topic }) => topic).join("\n") || "It is subscribed to nothing.",
});
