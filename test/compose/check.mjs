/**
 * docker-compose.yml tried for real: `node test/compose/check.mjs` builds and starts it under a project name and on ports
 * of its own, runs workflows through its doors, kills an executor in the middle of a run, stops it and removes it all.
 * Needs Docker with Compose v2, and nothing else: no installed packages.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const project = `skein-check-${process.pid}`;
const key = randomBytes(24).toString("hex");
const env = {
  ...process.env,
  SKEIN_ADMIN_KEY: key,
  SKEIN_EXECUTOR_KEY: key,
  POSTGRES_PASSWORD: randomBytes(8).toString("hex"),
  RABBITMQ_PASSWORD: randomBytes(8).toString("hex"),
  // Ports that are free, also for two orchestrators.
  SKEIN_PUBLISHED_PORT: "0",
  RABBITMQ_PUBLISHED_PORT: "0",
};
const WAIT_MS = 60_000;
const ORCHESTRATORS = 2;
const EXECUTORS = 3;

const greeting = {
  name: "compose-greeting",
  inputs: { type: "object", required: ["name"], properties: { name: { type: "string" } } },
  tasks: [
    { id: "left", capability: "core.echo", input: { text: "hello" } },
    { id: "right", capability: "core.echo", input: { text: "{{ inputs.name }}" } },
    {
      id: "both",
      needs: ["left", "right"],
      capability: "core.echo",
      input: "{{ tasks.left.output.text }} {{ tasks.right.output.text }}",
    },
  ],
  outputs: { greeting: "{{ tasks.both.output }}" },
};
const sleeps = {
  name: "compose-sleeps",
  // A short lease, so that a crash is noticed soon.
  defaults: { heartbeat: "3s" },
  tasks: Array.from({ length: 24 }, (_, i) => ({ id: `sleep-${i}`, capability: "core.sleep", input: { ms: 4_000 } })),
};

let url = "";
try {
  await step("build and start", start);
  await step("refuse a stranger", refuseStranger);
  await step("run a workflow over HTTP", runOverHttp);
  await step("run a workflow with the command line", runWithCli);
  await step("pass the testing agent", passTestingAgent);
  await step("finish a run whose executor is killed", surviveCrash);
  await step("restart what was killed", () => compose("up", "--detach", "--wait", "--no-recreate", ...scale()));
  await step("log JSON lines that name their step", readLogs);
  await step("stop with exit code 0", stopCleanly);
} catch (error) {
  console.error(await compose("logs", "--tail", "20").catch(String));
  console.error(error);
  process.exitCode = 1;
} finally {
  await step("remove", () => compose("down", "--volumes", "--timeout", "10"));
}

async function start() {
  await compose("up", "--detach", "--build", "--wait", ...scale());
  url = `http://${await compose("port", "orchestrator", "8080")}`;
}

async function refuseStranger() {
  const response = await fetch(`${url}/v1/runs`);
  assert.equal(response.status, 401);
  const problem = /** @type {{ code: string }} */ (await response.json());
  assert.equal(problem.code, "UNAUTHENTICATED");
}

async function runOverHttp() {
  const submitted = await post("/v1/runs", { definition: greeting, inputs: { name: "geese" } });
  await until(async () => (await get(`/v1/runs/${submitted.id}`)).status === "completed");
  assert.deepEqual((await get(`/v1/runs/${submitted.id}/result`)).outputs, { greeting: "hello geese" });
  const picture = await fetch(`${url}/v1/runs/${submitted.id}/graph?format=svg`, { headers: headers() });
  assert.match(await picture.text(), /^(<\?xml[^>]*>\s*)?<svg[\s\S]*both[\s\S]*<\/svg>\s*$/);
}

async function runWithCli() {
  await post("/v1/workflows", greeting);
  const skein = ["exec", "-T", "orchestrator", "skein"];
  const run = JSON.parse(await compose(...skein, "run", greeting.name, "--input", "name=ducks", "--json"));
  assert.equal(run.status, "completed");
  assert.deepEqual(run.outputs, { greeting: "hello ducks" });
}

async function passTestingAgent() {
  // --no-deps: Compose would take away what has been scaled up.
  const { passed, failed, results } = JSON.parse(await compose("run", "--rm", "-T", "--no-deps", "testing", "--json"));
  assert.equal(
    failed,
    0,
    JSON.stringify(
      results.filter((/** @type {any} */ one) => one.status !== "passed"),
      null,
      2,
    ),
  );
  assert.ok(passed > 30, `only ${passed} scenarios were played`);
  assert.ok(!JSON.stringify(results).includes(key), "the report contains the key");
}

async function surviveCrash() {
  const { id } = await post("/v1/runs", { definition: sleeps });
  const tasks = async () => (await get(`/v1/runs/${id}/tasks?limit=100`)).data;
  // A claim that is lost before its first heartbeat is no crash.
  await until(async () => (await tasks()).every((/** @type {any} */ task) => task.status === "running"));
  await delay(1_500);
  const victim = await get(`/v1/agents/${(await tasks())[0].agent_id}`);
  const [container] = victim.name.split("-");
  // Everything in it but its init, which goes down with the last of them: unlike `docker kill` this counts as a crash.
  await docker("exec", container, "sh", "-c", "kill -9 -1");
  await until(async () => (await get(`/v1/runs/${id}`)).status === "completed");
  const lost = (await tasks()).filter((/** @type {any} */ task) => task.lost_leases > 0);
  assert.ok(lost.length > 0, "no task lost its lease: the executor was killed without need");
  await until(async () => (await docker("inspect", "--format", "{{.RestartCount}}", container)) === "1");
}

async function readLogs() {
  const text = await compose("logs", "--no-log-prefix", "--no-color", "orchestrator", "executor");
  const lines = text.split("\n").filter((line) => line !== "");
  const steps = new Set(lines.map((line) => logged(line).step));
  for (const name of ["submit", "ready", "publish", "claim", "finish", "register"]) {
    assert.ok(steps.has(name), `no line of the step ${name} among ${lines.length}`);
  }
  assert.ok(!text.includes(key), "the logs contain the key");
}

async function stopCleanly() {
  const ids = (await compose("ps", "--quiet", "orchestrator", "executor")).split("\n");
  assert.equal(ids.length, ORCHESTRATORS + EXECUTORS);
  await compose("stop");
  const codes = await docker("inspect", "--format", "{{.State.ExitCode}}", ...ids);
  assert.deepEqual(new Set(codes.split("\n")), new Set(["0"]));
}

/** @param {string} line */
function logged(line) {
  try {
    return JSON.parse(line);
  } catch {
    assert.fail(`a log line that is not JSON: ${line}`);
  }
}

function scale() {
  return ["--scale", `orchestrator=${ORCHESTRATORS}`, "--scale", `executor=${EXECUTORS}`];
}

/** @param {string} title @param {() => Promise<unknown>} action */
async function step(title, action) {
  const startedAt = performance.now();
  await action();
  console.log(`ok  ${title} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)`);
}

/** @param {() => Promise<boolean>} holds */
async function until(holds) {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms in vain: ${holds}`);
    await delay(200);
  }
}

/** @param {string} path @returns {Promise<any>} */
async function get(path) {
  return answerOf(await fetch(url + path, { headers: headers() }));
}

/** @param {string} path @param {unknown} body @returns {Promise<any>} */
async function post(path, body) {
  const init = { method: "POST", headers: { ...headers(), "content-type": "application/json" } };
  return answerOf(await fetch(url + path, { ...init, body: JSON.stringify(body) }));
}

/** @param {Response} response */
async function answerOf(response) {
  const text = await response.text();
  assert.ok(response.ok, `${response.url}: ${response.status} ${text}`);
  return JSON.parse(text);
}

function headers() {
  return { authorization: `Bearer ${key}` };
}

/** @param {string[]} args */
function compose(...args) {
  // Not the .env of whoever runs this, and the example is tried along the way.
  return docker("compose", "--project-name", project, "--env-file", ".env.example", ...args);
}

/** @param {string[]} args @returns {Promise<string>} what it wrote */
async function docker(...args) {
  const { stdout } = await promisify(execFile)("docker", args, { cwd: root, env, maxBuffer: 2 ** 26 });
  return stdout.trim();
}
