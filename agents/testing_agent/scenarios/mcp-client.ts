import type { JsonObject } from "../../../core/json.ts";
import { equal, isTrue } from "../expect.ts";
import { callTool, connectMcp } from "../mcp.ts";
import { completed, type Scenario, type Stage, TEST_LABEL } from "../scenario.ts";

export const mcpClient: Scenario = {
  name: "mcp-client",
  title: "A client of the Model Context Protocol plans, submits, approves and fetches runs over /mcp",
  async play({ connection, unique, adopt, join, claim, report, step }) {
    step("connect the official client");
    const client = await connectMcp(connection);
    const call = (name: string, input: JsonObject) => callTool(client, name, input);
    const { tools } = await client.listTools();
    const names = new Set(tools.map(({ name }) => name));
    const used = ["plan_create", "plan_accept", "workflow_submit", "task_approve", "run_watch", "run_result"];
    equal(
      "the tools that are missing",
      used.filter((name) => !names.has(name)),
      [],
    );

    step("plan a goal");
    const type = (name: string) => `${unique}.${name}`;
    const offer = { name: type("shout"), consumes: { text: type("text") }, produces: { loud: type("loud") } };
    const agent = await join([offer]);
    const goal = { have: { what: { type: type("text"), value: "honk" } }, want: { loud: type("loud") } };
    const plan = await call("plan_create", { goal });
    equal("the plan", [plan.status, (plan.tasks as unknown[]).length], ["proposed", 1]);

    step("accept the plan, and fetch what it gives");
    const planned = await call("plan_accept", { plan_id: plan.id! });
    adopt(String(planned.id));
    await report(agent, completed(await claim(agent), { loud: "HONK" }));
    const result = await call("run_result", { run_id: planned.id!, wait_seconds: 30 });
    equal("the result", result, { status: "completed", outputs: { loud: "HONK" }, error: null });

    step("submit a workflow that waits for an approval");
    const definition = {
      name: "mcp-client",
      tasks: [
        { id: "sure", wait: { approval: { assignee: "ann" } } },
        { id: "say", needs: ["sure"], capability: "core.echo", input: "{{ tasks.sure.output.comment }}" },
      ],
      outputs: "{{ tasks.say.output }}",
    };
    const submitted = await call("workflow_submit", { definition, labels: { [TEST_LABEL]: "mcp-client" } });
    const run_id = String(submitted.id);
    adopt(run_id);
    const seen: string[] = [];
    for (let after = {}; !seen.includes("task.waiting"); ) {
      const told = await call("run_watch", { run_id, wait_seconds: 1, ...after });
      seen.push(...(told.events as { type: string }[]).map((event) => event.type));
      after = { after: told.last_event };
    }

    step("approve it");
    await call("task_approve", { run_id, task: "sure", comment: "Go ahead." });
    const approved = await call("run_result", { run_id, wait_seconds: 30 });
    equal("the result", approved, { status: "completed", outputs: "Go ahead.", error: null });

    step("read the run as a resource");
    const { contents } = await client.readResource({ uri: `skein://runs/${run_id}/graph` });
    const text = contents.map((one) => ("text" in one ? one.text : "")).join("");
    isTrue("the resource is the graph as Mermaid", text.includes("flowchart") && text.includes("sure"), text);

    step("call a tool wrongly");
    const wrong = await client.callTool({ name: "run_get", arguments: { run_id: crypto.randomUUID() } });
    equal("the code of the error", Object(wrong._meta?.["skein/error"]).code, "RUN_NOT_FOUND");
    await client.close();

    step("send what is no frame, and one of a version that nobody speaks");
    equal("what is no JSON", await codeOf(connection, "{"), { status: 400, code: -32_700 });
    const unknown = { "io.modelcontextprotocol/protocolVersion": "2999-01-01" };
    const frame = { jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: unknown } };
    const headers = { "mcp-protocol-version": "2999-01-01", "mcp-method": "tools/list" };
    equal("an unknown version", (await codeOf(connection, JSON.stringify(frame), headers)).status, 400);
  },
};

/** How a frame is refused that no client would send. */
async function codeOf({ url, apiKey, fetch }: Stage["connection"], body: string, headers = {}) {
  const key = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const accept = "application/json, text/event-stream";
  const answer = await fetch!(`${url.replace(/\/+$/, "")}/mcp`, {
    method: "POST",
    headers: { accept, "content-type": "application/json", ...key, ...headers },
    body,
  });
  const { error } = (await answer.json()) as { error?: { code: number } };
  return { status: answer.status, code: error?.code };
}
