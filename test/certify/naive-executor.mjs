/**
 * An executor in plain HTTP, with nothing but Node, that keeps enough of the protocol to pass the cases of the kit that
 * its test names. FAULTS (names with commas between them) breaks it on purpose, so that the kit has something to find.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

/** @typedef {{ task_id: string, attempt: number, lease_token: string, lease_ms: number, capability: string, input: any, idempotency_key: string }} Lease */
/** @typedef {{ lease: Lease, stop: AbortController }} Attempt */

const { SKEIN_URL, SKEIN_API_KEY = "", SKEIN_SLOTS = "1", SKEIN_AGENT_NAME = "naive" } = process.env;
const faults = new Set((process.env.FAULTS ?? "").split(","));
const slots = Number(SKEIN_SLOTS);
const WAIT_SECONDS = 5;
const AGAIN_MS = 100;

let token = SKEIN_API_KEY;
let agentId = "";
let isDraining = false;
/** By task and attempt. @type {Map<string, Attempt>} */
const held = new Map();
/** @param {{ task_id: string, attempt: number }} lease */
const nameOf = ({ task_id, attempt }) => `${task_id}/${attempt}`;

/** @param {string} path @param {object} body @returns {Promise<any>} */
async function post(path, body) {
  for (;;) {
    try {
      const response = await fetch(SKEIN_URL + path, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(body),
      });
      if (response.ok) return await response.json();
      if (response.status < 500) throw Object.assign(new Error(await response.text()), { isFinal: true });
    } catch (error) {
      if (/** @type {any} */ (error).isFinal || faults.has("give-up")) throw error;
    }
    await delay(AGAIN_MS);
  }
}

async function register() {
  const names = ["echo", "sleep", "fail", "crash", ...(faults.has("incapable") ? [] : ["big", "invalid"])];
  const schema = { type: "object", properties: { n: { type: "integer" } } };
  const answer = await post("/v1/agents", {
    name: SKEIN_AGENT_NAME,
    slots,
    capabilities: names.map((name) => ({
      name: `certify.${name}`,
      ...(name === "invalid" && { output_schema: schema }),
    })),
  });
  if (faults.has("strict") && Object.keys(answer).length > 4) throw new Error("the answer has unknown fields");
  token = answer.agent_token;
  agentId = answer.id;
}

async function work() {
  while (!isDraining) {
    const max = faults.has("greedy") ? slots * 3 : slots - held.size;
    if (max === 0) await delay(AGAIN_MS);
    else await claim(max);
  }
}

/** @param {number} max */
async function claim(max) {
  try {
    const { tasks } = await post("/v1/tasks/claim", { request_id: randomUUID(), max, wait: WAIT_SECONDS });
    for (const lease of tasks) {
      const attempt = { lease, stop: new AbortController() };
      if (held.has(nameOf(lease))) continue;
      held.set(nameOf(lease), attempt);
      void perform(attempt);
    }
  } catch (error) {
    console.error(String(error));
  }
}

/** @param {Attempt} attempt */
async function perform({ lease, stop }) {
  const { task_id, attempt, lease_token } = lease;
  const outcome = await handle(lease, stop.signal).then(
    (output) => ({ outcome: "completed", output }),
    (error) => ({ outcome: "failed", error: error.failure ?? { code: "HANDLER_FAILED", message: String(error) } }),
  );
  const report = { task_id, attempt, lease_token, ...outcome };
  try {
    const times = faults.has("report-twice") ? 2 : 1;
    for (let n = 0; n < times && !stop.signal.aborted; n++) {
      await post("/v1/tasks/report", { request_id: randomUUID(), reports: [report] });
    }
  } catch (error) {
    console.error(String(error));
  }
  held.delete(nameOf(lease));
}

/** @param {Lease} lease @param {AbortSignal} signal */
async function handle({ capability, input, attempt, idempotency_key }, signal) {
  const key = faults.has("lose-key") ? randomUUID() : idempotency_key;
  /** @param {string} event */
  const note = (event) =>
    fetch(input.note_url, { method: "POST", body: JSON.stringify({ event, attempt, idempotency_key: key }) });
  switch (capability) {
    case "certify.echo":
      return input;
    case "certify.sleep":
      await note("started");
      try {
        await delay(input.ms, undefined, { signal });
      } catch (error) {
        await note("stopped");
        throw error;
      }
      await note("finished");
      return { slept_ms: input.ms };
    case "certify.fail":
      throw Object.assign(new Error(input.message), { failure: input });
    case "certify.big":
      return { text: "x".repeat(input.bytes) };
    case "certify.crash":
      await note("effect");
      if (attempt === 1) process.kill(process.pid, "SIGKILL");
      return { attempt };
    default:
      return { n: "three" };
  }
}

async function beat() {
  for (;;) {
    const leases = [...held.values()].map(({ lease: { task_id, attempt, lease_token } }) => {
      return { task_id, attempt, lease_token };
    });
    if (leases.length > 0 && !faults.has("no-heartbeat")) {
      const answer = await post("/v1/tasks/heartbeat", { leases }).catch(() => ({ leases: [] }));
      for (const { state, ...lease } of answer.leases) {
        const isOver = state === "lost" || (state === "cancel" && !faults.has("ignore-cancel"));
        if (isOver) held.get(nameOf(lease))?.stop.abort();
      }
    }
    await delay(AGAIN_MS * 3);
  }
}

async function drain() {
  if (faults.has("abrupt")) process.exit(1);
  isDraining = true;
  const until = Date.now() + Number(process.env.SKEIN_DRAIN_MS);
  while (held.size > 0 && Date.now() < until) await delay(AGAIN_MS);
  const leases = [...held.values()].map(({ lease: { task_id, attempt, lease_token } }) => {
    return { task_id, attempt, lease_token };
  });
  await post("/v1/tasks/release", { leases });
  await fetch(`${SKEIN_URL}/v1/agents/${agentId}`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } });
  process.exit(0);
}

process.on("SIGTERM", () => void drain());
await register();
void beat();
await work();
