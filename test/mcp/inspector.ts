/** Every tool of `/mcp`, listed and called by the command line of the official MCP Inspector, as anybody could do it. */
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../core/json.ts";
import type { McpPrograms } from "./programs.ts";

export interface Inspection {
  programs: McpPrograms;
  /** Of the server, without `/mcp`. */
  url: string;
  /** Hears every command and what it printed. */
  say(line: string): void;
}

type Era = "legacy" | "modern";

/** Characters of an answer that are worth printing. */
const MAX_SHOWN = 700;
const DEADLINE_MS = 60_000;

/** @returns the tools that there are in each era, and those that were called and answered without an error */
export async function inspectEveryTool({ programs, url, say }: Inspection) {
  /** Tokens are nobody's business, even of a server that is gone. */
  const tell = (text: string) => say(text.replace(/ska_[\w-]+/g, "ska_…"));

  async function inspect(era: Era, ...args: string[]): Promise<JsonObject> {
    const target = ["--server-url", `${url}/mcp`, "--transport", "http", "--protocol-era", era];
    const shown = args.map((arg) => (/^[\w./:-]+$/.test(arg) ? arg : `'${arg}'`)).join(" ");
    tell(`$ mcp-inspector --cli --server-url ${url}/mcp --transport http --protocol-era ${era} ${shown}`);
    const printed = await printedBy(programs, ["--cli", ...target, "--quiet", ...args]);
    tell(printed.length > MAX_SHOWN ? `${printed.slice(0, MAX_SHOWN)}\n… (${printed.length} characters)\n` : printed);
    return JSON.parse(printed) as JsonObject;
  }

  const list = async (era: Era) => {
    const { tools } = (await inspect(era, "--method", "tools/list")) as { tools: { name: string }[] } & JsonObject;
    return tools.map(({ name }) => name);
  };
  const listed = { legacy: await list("legacy"), modern: await list("modern") };

  const called = new Set<string>();
  async function call<T = JsonObject>(name: string, input: JsonObject = {}, era: Era = "modern"): Promise<T> {
    const args = ["--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(input)];
    const { structuredContent } = await inspect(era, ...args);
    called.add(name);
    return structuredContent as T;
  }
  /** In the older era: in the newer one the Inspector follows the task to its end. */
  const start = async (definition: JsonObject) => {
    const { id } = await call<{ id: string }>("workflow_submit", { definition }, "legacy");
    return { run_id: id };
  };

  // A run from its definition to its result.
  const echo = { id: "say", capability: "core.echo", input: { text: "{{ inputs.text }}" } };
  const hello = { name: "hello", tasks: [echo], outputs: "{{ tasks.say.output.text }}" };
  await call("capability_list");
  await call("workflow_validate", { definition: hello });
  const { id } = await call<{ id: string }>("workflow_submit", { definition: hello, inputs: { text: "honk" } });
  const run = { run_id: id };
  for (const name of ["run_get", "run_tasks", "run_graph", "run_timeline", "run_logs"]) await call(name, run);
  await call("run_watch", { ...run, wait_seconds: 10 });
  await call("run_result", { ...run, wait_seconds: 10 });
  await call("run_list", { limit: 1 });
  await call("task_get", { ...run, task: "say" });

  // One that waits for a signal and two decisions, is paused and resumed, and one that is cancelled.
  const waits = [
    { id: "signal", wait: { signal: "go" } },
    ...["yes", "no"].map((id) => ({ id, wait: { approval: {} } })),
  ];
  const waiting = await start({ name: "waiting", tasks: waits });
  await call("task_why", { ...waiting, task: "signal" });
  await call("run_pause", waiting);
  await call("run_resume", waiting);
  await call("run_signal", { ...waiting, name: "go", payload: 7 });
  await call("task_ask_user", { ...waiting, task: "yes" });
  await call("task_approve", { ...waiting, task: "yes", comment: "fine" });
  await call("task_reject", { ...waiting, task: "no", comment: "not this" });

  // One that keeps files, is cancelled, and run again in two ways.
  const endless = await start({ name: "endless", tasks: [{ id: "wait", wait: { signal: "never" } }] });
  const { revision } = await call<{ revision: number }>("run_get", endless);
  await call("run_graph_change", {
    ...endless,
    revision,
    add: [{ id: "more", needs: ["wait"], capability: "core.echo" }],
  });
  await call("artifact_write", { ...endless, path: "notes.md", text: "# Geese" });
  await call("artifact_list", endless);
  await call("artifact_read", { ...endless, path: "notes.md" });
  await call("run_cancel", endless);
  const again = await call<{ id: string }>("run_retry", endless, "legacy");
  await call("run_fork", { run_id: again.id, edits: { wait: { wait: { for: "10ms" } } } });

  // A plan that is accepted, and one that is not.
  const goal = { have: { text: { type: "mcp.text" } }, want: { loud: "mcp.loud" } };
  const plan = async () => ({ plan_id: (await call<{ id: string }>("plan_create", { goal })).id });
  const accepted = await plan();
  await call("plan_get", accepted);
  await call("plan_list", { status: "accepted" });
  await call("plan_accept", { ...accepted, inputs: { text: "honk" } });
  await call("plan_reject", { ...(await plan()), reason: "too loud" });
  await call("workflow_list");
  await call("workflow_get", { name: "inspected" });
  await call("workflow_register", { definition: { ...hello, name: "kept" } });
  await call("workflow_register_run", { ...run, name: "kept-run" });

  // An agent that performs a task, gives one back, keeps a state and a memory, and hears of another.
  await call("agent_list");
  const agent = "inspector";
  const registration = { name: agent, capabilities: ["inspector.look"] };
  const { agent_id, agent_token } = await call<{ agent_id: string; agent_token: string }>(
    "agent_register",
    registration,
  );
  await start({ name: "looking", tasks: [{ id: "look", capability: "inspector.look", input: "there" }] });
  const take = async () => {
    const { tasks } = await call<{ tasks: JsonObject[] }>("task_claim", { agent_token, wait_seconds: 10 });
    const { task_id, attempt, lease_token } = tasks[0] as { task_id: string; attempt: number; lease_token: string };
    return { agent_token, task_id, attempt, lease_token };
  };
  await call("task_release", await take());
  const lease = await take();
  await call("task_heartbeat", { ...lease, progress: 0.5 });
  await call("task_report", { ...lease, outcome: "completed", output: { seen: "geese" } });
  await call("agent_heartbeat", { agent_id, agent_token });
  await call("agent_cordon", { agent_id, cordoned: false });
  // One that finds what there is to do, and bids where nothing is offered.
  const crawl = { id: "crawl", capability: "inspector.look" };
  const visit = { id: "visit", for_each: [], open: true, capability: "core.echo", input: "{{ item }}" };
  const crawling = await start({ name: "crawling", tasks: [crawl, visit] });
  await call("task_emit", { ...(await take()), map: "visit", items: [{ key: "a", item: "a" }], close: true });
  await call("task_bids", { ...crawling, task: "crawl" });
  await call("bid_announcements", { agent_id, agent_token, wait_seconds: 0 });
  await call("bid_place", { agent_id, agent_token, bids: [{ task_id: lease.task_id, round: 1, bid: null }] });
  await call("run_cancel", crawling, "legacy");
  const own = { agent, agent_token };
  await call("agent_state_set", { ...own, document: { looked: 1 } });
  await call("agent_state_get", own);
  await call("agent_state_delete", own);
  await call("memory_add", { ...own, entries: [{ type: "observation", content: { seen: "geese" } }] });
  await call("memory_list", { ...own, search: "geese" });
  await call("memory_forget", own);
  const shared = { scope: "inspection", key: "found" };
  await call("shared_set", { ...shared, value: { geese: 3 } });
  await call("shared_get", shared);
  await call("shared_list", { scope: shared.scope });
  await call("shared_delete", shared);
  await call("topic_subscribe", { ...own, topic: "geese" });
  await call("topic_list", own);
  await call("topic_unsubscribe", { ...own, topic: "geese" });
  const schedule = { name: "inspected" };
  await call("schedule_create", { ...schedule, cron: "@yearly", workflow: "inspected" });
  await call("schedule_list");
  await call("schedule_preview", { cron: "@yearly" });
  await call("schedule_backfill", { ...schedule, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" });
  await call("schedule_ticks", schedule);
  await call("schedule_update", { ...schedule, cron: "@monthly" });
  await call("schedule_pause", schedule);
  await call("schedule_resume", schedule);
  await call("schedule_delete", schedule);
  // One that may spend something, and then more.
  const frugal = { name: "frugal", tasks: [{ id: "wait", wait: { signal: "never" } }], budget: { calls: 1 } };
  const spending = await start(frugal);
  await call("run_budget", spending);
  await call("run_budget_change", { ...spending, calls: 2 });
  await call("spend_list");
  await call("run_cancel", spending, "legacy");
  const broken = {
    capability: "code.javascript",
    input: { code: "throw new Error('no')" },
    retry: { max_attempts: 1 },
  };
  for (const name of ["dead_letter_redrive", "dead_letter_discard"]) {
    const failing = await start({ name: "broken", tasks: [{ id: "a", ...broken }] });
    await call("run_result", { ...failing, wait_seconds: 30 });
    const { data } = await call<{ data: { id: string; run_id: string }[] }>("dead_letter_list");
    await call(name, { dead_letter_id: data.find(({ run_id }) => run_id === failing.run_id)!.id }, "legacy");
  }
  // Many at once, and what bounds them all.
  await call("dead_letter_redrive_many", { workflow: "broken" });
  await call("dead_letter_discard_many", { workflow: "broken" });
  const filter = { workflow: "endless" };
  await call("run_bulk", { action: "cancel", filter, dry_run: true });
  await call("limit_set", { key: "inspection", concurrency: 2, rate: { limit: 60, per: "1m" } });
  await call("limit_list");
  await call("limit_pause", { key: "inspection", reason: "inspected" });
  await call("limit_resume", { key: "inspection" });
  await call("limit_remove", { key: "inspection" });
  await call("cache_stats");
  await call("cache_clear", { capability: "core.echo" });
  await call("retention_set", { move_after: "30d", keep: { completed: "90d" } });
  await call("retention_get");
  await call("retention_remove");
  await call("storage_get");
  const question = { to: agent, body: "Which way?", expects_reply: "1m" };
  const asked = await call<{ messages: { id: string }[] }>("message_send", { messages: [question] });
  await call("message_reply", { message_id: asked.messages[0]!.id, wait_seconds: 0 });
  await call("message_send", { messages: [{ to: agent, body: { text: "Well done." } }] });
  const { messages } = await call<{ messages: { id: string }[] }>("inbox_read", own);
  await call("inbox_ack", { ...own, ids: messages.map(({ id }) => id) });
  const { id: conversation_id } = await call<{ id: string }>("conversation_start", {
    protocol: "vote",
    question: "Which way?",
    members: [agent, "somebody-else", "nobody"],
  });
  await call("conversation_say", { conversation_id, agent_token, type: "vote", body: { choice: "south" } });
  for (const name of ["conversation_get", "conversation_transcript", "conversation_graph"]) {
    await call(name, { conversation_id });
  }
  await call("conversation_list");
  await call("conversation_leave", { conversation_id, agent_token });
  await call("conversation_cancel", { conversation_id });
  await call("agent_leave", { agent_id, agent_token });

  // Resources and prompts.
  await inspect("modern", "--method", "resources/list");
  await inspect("modern", "--method", "resources/read", "--uri", `skein://runs/${id}`);
  await inspect("legacy", "--method", "resources/templates/list");
  await inspect("legacy", "--method", "prompts/list");
  await inspect(
    "modern",
    "--method",
    "prompts/get",
    "--prompt-name",
    "explain_failed_run",
    "--prompt-args",
    `run_id=${id}`,
  );
  return { listed, called: [...called] };
}

/** @returns what it printed; rejects with it unless it exits with 0, which it only does for an answer without an error */
function printedBy({ node, env: compiled, inspector }: McpPrograms, args: string[]): Promise<string> {
  const env = { ...process.env, ...compiled, MCP_CATALOG_PATH: join(tmpdir(), "skein-mcp-inspector.json") };
  return new Promise((resolve, reject) => {
    execFile(
      node,
      [inspector, ...args],
      { env, timeout: DEADLINE_MS, maxBuffer: 16 << 20 },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`The Inspector exited with ${error.code}: ${stdout}${stderr}`));
        else resolve(stdout);
      },
    );
  });
}
