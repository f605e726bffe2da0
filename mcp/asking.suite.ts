/** Tools that ask the client's user, at every door and in every version of the protocol. */
import type { Client } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../core/json.ts";
import { call, eventually, type ProtocolVersion, refusal } from "./tools.suite.ts";

const form = { type: "object", required: ["count"], properties: { count: { type: "integer", maximum: 9 } } };
const counting = {
  name: "counting",
  tasks: [
    { id: "count", capability: "human.task", input: { form, assignee: "ann", payload: { bird: "goose" } } },
    { id: "signal", wait: { signal: "go" } },
  ],
};

type Answer = { action: "accept" | "decline" | "cancel"; content?: Record<string, string | number | boolean> };

/** `connect` opens a client with these capabilities. */
export function describeAsking(
  version: ProtocolVersion,
  connect: (version: ProtocolVersion, capabilities: { elicitation?: object }) => Promise<Client>,
): void {
  describe(`a user in front of a client of ${version}`, () => {
    /** A client whose user gives these answers, and what they were asked. */
    async function userWho(...answers: Answer[]) {
      const client = await connect(version, { elicitation: {} });
      const asked: JsonObject[] = [];
      client.setRequestHandler("elicitation/create", async ({ params }) => {
        asked.push(params as unknown as JsonObject);
        return answers.shift()!;
      });
      return { client, asked };
    }
    async function waiting(client: Client) {
      const { id: run_id } = await call(client, "workflow_submit", { definition: counting });
      const tasks = async () => (await call(client, "run_tasks", { run_id: run_id!, status: "waiting" })).data;
      await expect.poll(tasks, eventually).toHaveLength(2);
      return { run_id: run_id!, task: "count" };
    }

    it("is shown what a task waits for, and decides it with what they fill in", async () => {
      const { client, asked } = await userWho({ action: "accept", content: { count: 7 } });
      const task = await waiting(client);
      expect(await call(client, "task_ask_user", task)).toMatchObject({ decision: "approved" });
      expect(asked).toMatchObject([
        { message: expect.stringMatching(/count of counting .* by ann[\s\S]*goose/), requestedSchema: form },
      ]);
      const { output } = await call(client, "task_get", task);
      expect(output).toMatchObject({ payload: { count: 7 } });
      expect((await refusal(client, "task_ask_user", task)).code).toBe("TASK_NOT_WAITING");
      await call(client, "run_cancel", { run_id: task.run_id });
      await client.close();
    });

    it("closes the question, gives an answer that does not fit, declines: only the last decides", async () => {
      const wrong = { action: "accept", content: { count: 10 } } as const;
      const { client, asked } = await userWho({ action: "cancel" }, wrong, { action: "decline" });
      const task = await waiting(client);
      expect(await call(client, "task_ask_user", task)).toMatchObject({ decision: "open" });
      // An official client may check the answer against the form itself, and then it is asked for in vain.
      expect(
        (await client.callTool({ name: "task_ask_user", arguments: task }).catch(() => ({ isError: true }))).isError,
      ).toBe(true);
      expect(await call(client, "task_get", task)).toMatchObject({ status: "waiting" });
      expect(await call(client, "task_ask_user", task)).toMatchObject({ decision: "rejected" });
      expect(asked).toHaveLength(3);
      expect(await call(client, "task_get", task)).toMatchObject({ status: "failed", error: { code: "rejected" } });
      await call(client, "run_cancel", { run_id: task.run_id });
      await client.close();
    });

    it("cannot be asked through a client that shows no forms, nor about what waits for no decision", async () => {
      const client = await connect(version, {});
      const task = await waiting(client);
      expect(await call(client, "task_ask_user", task)).toMatchObject({ decision: "cannot_ask" });
      const other = await refusal(client, "task_ask_user", { ...task, task: "signal" });
      expect(other).toMatchObject({ code: "TASK_NOT_WAITING", text: expect.stringContaining("task_why") });
      await call(client, "run_cancel", { run_id: task.run_id });
      await client.close();
    });
  });
}
