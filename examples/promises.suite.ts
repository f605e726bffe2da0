/** What each example promises: how its run ends, and in which order things happen in it. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client, Failure, Json, JsonObject, RunStatus } from "../index.ts";
import { createAgentClient } from "../sdk/client.ts";

export interface Promised {
  /** As its comment names them; `webUrl` stands in for the web. */
  inputs?: (webUrl: string) => JsonObject;
  /** Default completed. */
  status?: RunStatus;
  outputs?: Json;
  error?: Partial<Failure>;
  attempts?: Record<string, number>;
  /** The run is cancelled from outside once it is submitted. */
  isCancelled?: boolean;
  /** It runs itself, so it is registered before. */
  isRegistered?: boolean;
  /** What the world does while it runs. */
  during?: (client: Client, runId: string) => Promise<void>;
  /**
   * Chains of events, each in the order in which they must occur, once: `<task> <what happened>`, or `run <what happened>`.
   * They tell the construct from its nearest neighbours, and hold however slow anything is.
   */
  order?: string[][];
}

/** Follows the run's events until `event`, named as in an order, has happened. */
async function happened(client: Client, runId: string, event: string): Promise<void> {
  for await (const found of client.runs.events(runId)) {
    if ("key" in found && `${found.key} ${found.type.replace("task.", "")}` === event) return;
  }
  throw new Error(`the run ended without "${event}"`);
}

/** Once the run has failed, its dead letter is redriven: the new run completes, and has not collected again. */
async function redrive(client: Client, runId: string): Promise<void> {
  for await (const _ of client.runs.events(runId));
  // Where the server was killed before it could answer, it has been redriven; doing so again answers with the same run.
  const letters = (state: "open" | "redriven") => client.deadLetters.list({ run: runId, state });
  const [letter] = [...(await letters("open")).data, ...(await letters("redriven")).data];
  const again = await client.deadLetters.redrive(letter!.id);
  for await (const _ of client.runs.events(again.id));
  const { outputs } = await client.runs.result(again.id);
  const { kept_from } = await client.runs.task(again.id, "collect");
  if (outputs !== "12 geese charged" || kept_from === null) throw new Error(`the redrive came to ${outputs}`);
}

/** Found by its label, and let go when it has been paused and resumed with all that have that label. */
async function findByLabel(client: Client, runId: string): Promise<void> {
  const filter = { labels: { batch: "42" } };
  const { data } = await client.runs.list({ label: ["batch=42"] });
  if (!data.some(({ id }) => id === runId)) throw new Error(`run ${runId} is not among ${data.length} of its label`);
  for (const action of ["pause", "resume"] as const) {
    const { done } = await client.runs.bulkAll({ action, filter, expected: data.length });
    if (done !== data.length) throw new Error(`${action} of ${data.length} runs did ${done}`);
  }
  await client.runs.signal(runId, "released");
}

/** The workflow by a schedule: a run of it is given its tick. */
async function runEverySecond(client: Client): Promise<void> {
  const name = "scheduled-here";
  await client.schedules.create({ name, cron: "* * * * * *", workflow: "scheduled", tick_input: "at" });
  try {
    for (;;) {
      const [run] = (await client.runs.list({ schedule: name, status: "completed" })).data;
      const result = run && (await client.runs.result(run.id));
      if (result && JSON.stringify(result.outputs).includes(run.tick_at!)) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  } finally {
    await client.schedules.delete(name);
  }
}
const LOOK_AGAIN_MS = 100;

/** Limits the capability to one at a time, and pauses it until the first of its tasks says that it waits for that. */
async function pauseTransforms(client: Client, runId: string): Promise<void> {
  const key = "@capability:transform.jsonata";
  /** A repetition: the answer was lost, not the request. */
  const ignoring = (code: string) => (error: { code?: string }) => {
    if (error.code !== code) throw error;
  };
  const open = await client.runs.task(runId, "open");
  if (open.status !== "completed") {
    await client.limits.set(key, { concurrency: 1 });
    await client.limits.pause(key, "the provider is down");
    await client.runs.signal(runId, "open");
    await happened(client, runId, "count[0] ready");
    const { reasons } = await client.runs.why(runId, "count[0]");
    if (reasons[0]?.code !== "paused" || !reasons[0].message.includes("the provider is down"))
      throw new Error(`count[0] waits because ${JSON.stringify(reasons)}`);
  }
  await client.limits.resume(key).catch(ignoring("FLOW_LIMIT_NOT_PAUSED"));
  for await (const _ of client.runs.events(runId));
  await client.limits.remove(key).catch(ignoring("FLOW_LIMIT_NOT_FOUND"));
}

/** Often enough for a lease of 3 s. */
const BEAT_MS = 500;

/** Agent of one's own that performs `scout`: it emits each item, and sees it visited, before the next. With `closes` it closes the map. */
async function scout(client: Client, runId: string, items: string[], closes: boolean): Promise<void> {
  const { id, status } = await client.runs.task(runId, "scout");
  // A repetition: the answer to the report was lost, not the report.
  if (status === "completed") return;
  const registered = await client.agents.register({ name: `scout of ${runId}`, capabilities: ["example.scout"] });
  const agent = createAgentClient({ url: client.url }, registered);
  const [lease] = (await agent.claim({ request_id: randomUUID(), task_ids: [id], max: 1 })).tasks;
  const { task_id, attempt, lease_token } = lease!;
  const proof = { task_id, attempt, lease_token };
  const beating = setInterval(() => agent.heartbeat({ leases: [proof] }).catch(() => {}), BEAT_MS);
  try {
    for (const [index, item] of items.entries()) {
      await agent.emit({ ...proof, map: "visit", items: [{ item, key: item }] }).catch((error) => {
        // The map takes no more once an attempt before this one, which was lost, has brought enough.
        if (attempt === 1 || error.code !== "EMIT_REFUSED") throw error;
      });
      await happened(client, runId, `visit[${index}] completed`);
    }
  } finally {
    clearInterval(beating);
  }
  const effects = { emit: closes ? [{ map: "visit", items: [], close: true }] : [] };
  const report = { ...proof, outcome: "completed" as const, output: null, effects };
  const { reports } = await agent.report({ request_id: randomUUID(), reports: [report] });
  await agent.leave();
  if (reports[0]!.result !== "accepted") throw new Error(`the report was ${reports[0]!.result}`);
}

/** The bell rings before anybody listens for it. */
async function ring(client: Client, runId: string): Promise<void> {
  await client.runs.signal(runId, "bell", "early");
  await client.runs.signal(runId, "begin");
}

/** And once more when somebody does. */
async function ringTwice(client: Client, runId: string): Promise<void> {
  await ring(client, runId);
  await happened(client, runId, "hear waiting");
  await client.runs.signal(runId, "bell", "late");
}

/** Decides when everybody is being asked. */
async function decideOnceAsked(client: Client, runId: string): Promise<void> {
  for (const instance of ["ask[0]", "ask[1]"]) await happened(client, runId, `${instance} waiting`);
  await client.runs.signal(runId, "decide");
}

export const promises: Record<string, Promised> = {
  hello: { outputs: { greetings: ["Hello, world!", "Bonjour, world !"] } },
  condition: {
    inputs: () => ({ amount: 1200 }),
    outputs: { decision: "somebody has to look at 1200" },
  },
  expressions: {
    inputs: () => JSON.parse(readFileSync(join(import.meta.dirname, "expressions.inputs.json"), "utf8")) as JsonObject,
    outputs: {
      cart: {
        lines: [
          { name: "down", price: 30, count: 2 },
          { name: "quill", price: 1.5, count: 3 },
        ],
        names: ["DOWN", "QUILL", "EGG"],
        summary: "3 items, the first is down",
        free_delivery: true,
        template: "{{ this is not an expression }}",
      },
      sent_as: "parcel",
    },
  },
  greeter: { inputs: () => ({ name: "geese" }), outputs: ["Hello, geese!", "Bonjour, geese!"] },
  http: { inputs: (url) => ({ url }), outputs: { status: 200, fields: 2 } },
  javascript: { inputs: () => ({ words: ["skein", "gaggle", "wedge"] }), outputs: { longest: "gaggle" } },
  jsonata: { outputs: { totals: { lake: 19, field: 30 } } },
  retry: {
    inputs: (url) => ({ url: `${url}/flaky` }),
    outputs: { body: { name: "skein", stars: 12 } },
    attempts: { call: 3 },
  },
  "large-payloads": { outputs: { first: "goose", characters: 300_000, each: [300_000, 300_000, 4] } },
  cache: {
    outputs: "geese",
    attempts: { first: 1, again: 0 },
    order: [["first completed", "again cached", "again completed"]],
  },
  timeout: {
    outputs: "timeout, so 42",
    attempts: { oracle: 1 },
    order: [["oracle failed", "guess ready"]],
  },

  fair: {
    inputs: () => ({ tenant: "acme" }),
    outputs: { cover: "cover of acme", pages: ["page 1", "page 2", "page 3"] },
    during: async (client, runId) => {
      const { fair_key } = await client.runs.get(runId);
      if (fair_key !== "acme") throw new Error(`the key is ${fair_key}`);
      const { priority } = await client.runs.task(runId, "cover");
      if (priority !== 9) throw new Error(`the priority is ${priority}`);
    },
  },

  labelled: {
    outputs: "batch 42",
    during: findByLabel,
    order: [["run paused", "run resumed", "release completed", "ship completed"]],
  },
  "limit-interleaved": {
    outputs: "filed",
    // Both wait for one key, and who is ready first has it first.
    order: [
      [
        "open completed",
        "sign ready",
        "sign claimed",
        "sign completed",
        "stamp claimed",
        "stamp completed",
        "file claimed",
      ],
    ],
  },
  "limit-tenants": { outputs: ["north 1", "north 2", "north 3", "south 1"] },
  "limit-rate": { outputs: ["fetched lake", "fetched field", "fetched marsh", "fetched dune", "fetched shore"] },
  "limit-capability": {
    outputs: [19, 30, 2],
    during: pauseTransforms,
    order: [
      [
        "count[0] claimed",
        "count[0] completed",
        "count[1] claimed",
        "count[1] completed",
        "count[2] claimed",
        "count[2] completed",
      ],
    ],
  },
  "limit-runs": {
    inputs: () => ({ customer: "ann" }),
    outputs: "synchronised ann",
    order: [["run submitted", "run started", "sync ready", "sync completed", "run completed"]],
  },

  sequence: {
    outputs: "an article on geese, in print",
    order: [["research completed", "write ready", "write completed", "print ready", "print completed"]],
  },
  "join-all": {
    outputs: ["packed and labelled", "billed"],
    order: [
      // Both are under way before either has completed: no sequence.
      ["order completed", "pack ready", "bill completed", "ship ready"],
      ["order completed", "bill ready", "pack completed", "label completed", "ship ready"],
    ],
  },
  "choice-exclusive": {
    inputs: () => ({ amount: 1200 }),
    outputs: "asked",
    order: [
      ["order completed", "approve skipped", "decide ready"],
      ["order completed", "ask ready", "ask completed", "decide ready", "decide completed"],
    ],
  },
  "choice-multiple": {
    inputs: () => ({ channels: ["mail", "chat"] }),
    outputs: [{ mailed: "To whom it may concern: The geese are back." }, { posted: "The geese are back." }, null],
    order: [
      // Of the branches, two are taken, and both are waited for.
      ["message completed", "address ready", "mail ready", "mail completed", "log ready"],
      ["message completed", "chat ready", "chat completed", "log ready"],
      ["message completed", "fax skipped", "log ready", "log completed"],
    ],
  },
  "merge-unstructured": {
    inputs: () => ({ right: false }),
    outputs: { early: { left: 1, right: null }, late: { left: 2, right: null } },
    order: [
      ["right skipped", "right_1 skipped", "early ready", "left_2 ready", "late ready"],
      ["left completed", "left_1 completed", "early ready", "early completed", "left_2 completed", "late ready"],
    ],
  },
  "join-discriminator": {
    outputs: "found nearby",
    order: [
      // Not on the first that settles, but on the first success; and the rest goes on.
      ["cache failed", "near completed", "answer ready"],
      ["answer ready", "far completed", "run completed"],
    ],
  },
  "join-race": {
    outputs: { winner: "hare" },
    order: [["hare completed", "answer ready", "tortoise cancelled", "run completed"]],
  },
  "join-quorum": {
    outputs: { decision: "accepted", chief: "agreed, too" },
    order: [
      // Not with the first, nor with all three.
      ["ann completed", "decide ready", "chief completed", "run completed"],
      ["bob completed", "decide ready"],
    ],
  },
  "join-partial": {
    outputs: { cheapest: "birch", filed: "300 pages filed" },
    order: [
      ["alder completed", "buy ready", "inquire cancelled", "dogwood cancelled"],
      ["birch completed", "buy ready", "cedar cancelled", "run completed"],
      ["buy ready", "catalogue completed", "file completed"],
    ],
  },
  "join-fallback": {
    outputs: { page: "the page as it was yesterday", alarm: "CODE_FAILED" },
    order: [
      ["east failed", "alarm ready", "west failed", "offline ready"],
      ["offline completed", "page ready", "page completed", "run completed"],
    ],
  },
  budget: {
    outputs: "BUDGET_EXHAUSTED: an outline has to do",
    order: [
      [
        "drafts[0] completed",
        "drafts[1] completed",
        "run budget_exhausted",
        "drafts failed",
        "outline ready",
        "outline completed",
        "run completed",
      ],
      ["drafts[2] ready", "run budget_exhausted", "drafts[2] failed"],
    ],
  },
  "join-cleanup": {
    status: "failed",
    error: { code: "CODE_FAILED", task: "use" },
    order: [
      ["create completed", "use failed", "remove ready", "remove completed", "run failed"],
      ["use failed", "report skipped", "run failed"],
    ],
  },
  always: {
    outputs: "work was ready",
    order: [["watch ready", "work completed"]],
  },
  "join-expression": {
    outputs: "approved",
    order: [
      // Both are decided while the chief is still open.
      ["legal completed", "approve ready", "chief completed"],
      ["finance completed", "approve ready"],
      ["refuse skipped", "chief completed"],
    ],
  },
  "join-none-skipped": {
    outputs: { spelling: "failed", links: "completed" },
    order: [
      ["spelling failed", "summary ready", "summary completed"],
      ["links completed", "summary ready"],
      ["pictures skipped", "certificate skipped"],
    ],
  },
  milestone: {
    outputs: { early: "completed", late: "skipped" },
    order: [
      ["open_sale completed", "call_early completed", "order_early ready", "close_sale completed"],
      ["close_sale completed", "call_late completed", "order_late skipped"],
    ],
  },
  map: {
    outputs: "1. lakes; 2. fields; 3. skies",
    order: [
      // All are under way before one has completed, and all are waited for.
      ["search completed", "read[0] ready", "read[1] ready", "read[2] ready", "read[2] completed", "read completed"],
      ["read[1] ready", "read[2] ready", "read[0] completed", "read completed", "write ready"],
      ["read[2] ready", "read[1] completed", "write ready"],
    ],
  },
  "map-one-by-one": {
    outputs: ["piano moved", "sofa moved", "lamp moved"],
    order: [
      ["move[0] ready", "move[0] completed", "move[1] ready", "move[1] completed", "move[2] ready", "move completed"],
    ],
  },
  "map-until": {
    outputs: "2 of 4",
    order: [
      ["ask[0] completed", "ask completed", "ask[1] cancelled", "run completed"],
      ["ask[2] completed", "ask completed", "ask[3] cancelled", "run completed"],
      ["ask completed", "sum ready"],
    ],
  },
  loop: {
    outputs: { rounds: 3, words: 25 },
    order: [
      [
        "refine[0]/draft completed",
        "refine[0]/review completed",
        "refine[1]/draft ready",
        "refine[1]/review completed",
        "refine[2]/draft ready",
        "refine[2]/review completed",
        "refine completed",
      ],
    ],
  },
  terminate: {
    outputs: 42,
    order: [
      ["search completed", "found completed", "think cancelled", "run completed"],
      ["found completed", "write cancelled", "run completed"],
    ],
  },
  "cancel-region": {
    outputs: "2 called off",
    order: [
      ["decide completed", "paint cancelled", "tell ready", "tell completed", "run completed"],
      ["decide completed", "hang cancelled", "tell ready"],
    ],
  },
  "cancel-task": {
    outputs: "shipped, cancelled",
    order: [["decide completed", "polish cancelled", "ship ready", "ship completed"]],
  },
  "cancel-run": {
    isCancelled: true,
    status: "cancelled",
    error: { code: "cancelled" },
    order: [
      ["run cancelling", "first cancelled", "run cancelled"],
      ["run cancelling", "second cancelled", "run cancelled"],
      ["run cancelling", "cleanup cancelled", "run cancelled"],
    ],
  },
  "map-apart": {
    outputs: "2 geese shipped",
    during: async (client, runId) => {
      await happened(client, runId, "ship completed");
      for (let i = 0; i < 2; i++) await client.runs.signal(runId, "replied");
    },
    order: [
      ["order completed", "ship ready", "ship completed", "survey[0] completed", "survey completed", "run completed"],
      ["ship completed", "survey[1] completed", "survey completed", "run completed"],
    ],
  },
  "choice-deferred": {
    outputs: "dropped",
    during: async (client, runId) => {
      await client.runs.signal(runId, "withdrawn");
    },
    order: [
      ["hear completed", "ship skipped", "close ready"],
      ["hear completed", "drop ready", "drop completed", "close ready"],
    ],
  },
  recursion: {
    isRegistered: true,
    inputs: () => ({ n: 3 }),
    outputs: 6,
    order: [["smaller completed", "factorial ready", "factorial completed"]],
  },
  "signal-transient": {
    outputs: "late",
    during: ringTwice,
    order: [["begin completed", "hear waiting", "hear completed", "run completed"]],
  },
  "signal-persistent": {
    outputs: "early",
    during: ring,
    order: [["begin completed", "hear waiting", "hear completed", "run completed"]],
  },
  "cancel-map": {
    outputs: true,
    during: decideOnceAsked,
    order: [
      ["decide completed", "ask cancelled", "run completed"],
      ["decide completed", "ask[0] cancelled", "run completed"],
      ["decide completed", "ask[1] cancelled", "run completed"],
    ],
  },
  "complete-map": {
    outputs: "published",
    during: decideOnceAsked,
    order: [
      ["decide completed", "ask cancelled", "publish ready", "publish completed", "run completed"],
      ["decide completed", "ask[0] cancelled", "run completed"],
      ["decide completed", "ask[1] cancelled", "run completed"],
    ],
  },
  "blocking-discriminator": {
    outputs: 2,
    order: [
      ["round[0]/near completed", "round[0]/answer ready", "round[0]/far completed", "round[1]/near ready"],
      ["round[0]/answer completed", "round[1]/near ready", "round[1]/answer ready", "round[1]/far completed"],
    ],
  },
  "blocking-partial": {
    outputs: 2,
    order: [
      ["round[0]/near completed", "round[0]/middle completed", "round[0]/answer ready", "round[0]/far completed"],
      ["round[0]/answer ready", "round[0]/far completed", "round[1]/near ready"],
    ],
  },
  "merge-general": {
    outputs: "printed",
    order: [
      ["refine[0]/draft completed", "refine[1]/draft completed", "refine completed", "print ready"],
      ["check skipped", "print ready", "print completed"],
    ],
  },
  threads: {
    outputs: 3,
    order: [0, 1, 2].map((i) => [
      `thread[${i}][0]/cut completed`,
      `thread[${i}][0]/sew ready`,
      `thread[${i}] completed`,
      "thread completed",
      "pack ready",
    ]),
  },
  "map-open": {
    outputs: ["lake", "field"],
    during: (client, runId) => scout(client, runId, ["lake", "field"], true),
    // The second comes when the first has gone; the map is left open for more until it is closed.
    order: [["visit[0] completed", "visit[1] ready", "visit[1] completed", "visit completed", "sum ready"]],
  },
  "dead-letter": {
    status: "failed",
    error: { task: "charge" },
    during: redrive,
    order: [["collect completed", "charge ready", "charge failed", "run failed"]],
  },
  scheduled: {
    inputs: () => ({ at: "2026-11-27T05:30:00.000Z" }),
    outputs: { text: "12 geese by 2026-11-27T05:30:00.000Z" },
    isRegistered: true,
    during: runEverySecond,
    order: [["collect completed", "report ready", "report completed", "run completed"]],
  },
  "map-open-until": {
    outputs: 2,
    during: (client, runId) => scout(client, runId, ["lake", "field"], false),
    order: [["visit[0] completed", "visit[1] ready", "visit[1] completed", "scout completed"]],
  },
};
