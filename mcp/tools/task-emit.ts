import { z } from "zod";
import { emitAnswer, emitBody } from "../../core/protocol/tasks.ts";
import { agentToken, heldLease } from "../acting.ts";
import { changing, defineTool } from "../tool.ts";

const { map, items, close } = emitBody.shape;

export const taskEmit = defineTool({
  name: "task_emit",
  title: "Give items to an open map",
  description:
    "While you hold a task, adds items to an open map of the run (`for_each` with `open: true`): each becomes a task of its own at once. Give every item a `key` of its own, and repeating the call adds nothing twice. `effects.emit` of task_report does the same together with your result.",
  annotations: changing,
  input: z.strictObject({
    agent_token: agentToken,
    ...heldLease,
    map: map.describe("The map's task id, such as `read`"),
    items: items.describe('Such as [{ "key": "page-7", "item": { "url": "https://example.org/7" } }]'),
    close: close.describe("No more items will come, from anybody: the map ends when those there are have settled"),
  }),
  output: emitAnswer,
  call: (_client, { agent_token, ...body }, { agent }) => agent(agent_token).emit(body),
  text: ({ added, repeated }) => `${added} items added; ${repeated} had been there already.`,
});
