import { equal } from "../expect.ts";
import { callTool, connectMcp } from "../mcp.ts";
import type { Scenario } from "../scenario.ts";

export const mcpExecutor: Scenario = {
  name: "mcp-executor",
  title:
    "A client of the Model Context Protocol is an agent: takes tasks, keeps and reports them, and answers in its inbox",
  async play({ client, connection, unique, submit, adoptAgent, watch, step }) {
    const mcp = await connectMcp(connection, { versionNegotiation: { mode: "auto" } });
    const call = (name: string, input: Parameters<typeof callTool>[2]) => callTool(mcp, name, input);

    step("register");
    const registered = await call("agent_register", { name: unique, capabilities: [unique] });
    const agent_token = String(registered.agent_token);
    adoptAgent({ id: String(registered.agent_id), agent_token, name: unique });

    step("take a task, keep it and report it, twice");
    const tasks = [{ id: "read", capability: unique, input: { page: 7 } }];
    const run = await submit({ definition: { name: "mcp-executor", tasks, outputs: "{{ tasks.read.output }}" } });
    const claimed = (await call("task_claim", { agent_token, wait_seconds: 30 })).tasks as Record<string, never>[];
    const { key, input, task_id, attempt, lease_token } = claimed[0]!;
    equal("the task", [key, input], ["read", { page: 7 }]);
    const lease = { agent_token, task_id: task_id!, attempt: attempt!, lease_token: lease_token! };
    equal("its lease", (await call("task_heartbeat", { ...lease, progress: 0.5 })).state, "ok");
    const effects = { state: { document: { read: 7 } } };
    const report = { ...lease, outcome: "completed", output: "geese", effects };
    equal("the answer to the report", (await call("task_report", report)).result, "accepted");
    equal("the answer to the same report", (await call("task_report", report)).result, "duplicate");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, "geese");
    const kept = await call("agent_state_get", { agent: unique, agent_token });
    equal("what the report has kept", kept.document, { read: 7 });

    step("be written to, and answer");
    await client.messages.send([{ to: unique, body: "Which page?", expects_reply: "1m", key: unique }]);
    const inbox = await call("inbox_read", { agent: unique, agent_token, wait_seconds: 30 });
    const messages = inbox.messages as { id: string; from: { name: string }; body: string }[];
    // What is said to all is there, too.
    const message = messages.find(({ body }) => body === "Which page?");
    equal("what it reads", message?.body, "Which page?");
    const answer = { to: message!.from.name, body: "Seven.", reply_to: message!.id };
    await call("message_send", { agent_token, messages: [answer] });
    const { message: reply, inbox: asker } = await client.messages.reply(message!.id, { wait: 30 });
    equal("the reply", [reply?.body, reply?.from.name], ["Seven.", unique]);
    await client.agentData(asker).inbox.acknowledge([reply!.id]);
    await mcp.close();
  },
};
