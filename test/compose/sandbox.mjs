/**
 * The profile `sandbox` of docker-compose.yml tried for real: `node test/compose/sandbox.mjs` builds and starts it under a
 * project name and on ports of its own, has it run Python and a command, then runs the attempts to get out of the sandbox
 * inside its container, and removes everything. Needs Docker with Compose v2, and the packages installed.
 */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const key = randomBytes(24).toString("hex");
const env = {
  ...process.env,
  SKEIN_ADMIN_KEY: key,
  SKEIN_EXECUTOR_KEY: key,
  // Ports that are free.
  SKEIN_PUBLISHED_PORT: "0",
  RABBITMQ_PUBLISHED_PORT: "0",
};
// Not the .env of whoever runs this.
const prefix = ["compose", "-p", `skein-sandbox-${process.pid}`, "--env-file", ".env.example", "--profile", "sandbox"];

const program = `
import platform, subprocess
def main(input):
    return [input * 2, platform.node(), subprocess.run(["id", "-un"], capture_output=True, text=True).stdout]
`;
const definition = {
  name: "compose-sandbox",
  tasks: [
    { id: "python", capability: "code.python", input: { code: program, input: 21 } },
    { id: "shell", capability: "shell.command", input: { command: "cat in.txt", files: { "in.txt": "text" } } },
  ],
  outputs: { value: "{{ tasks.python.output.value }}", text: "{{ tasks.shell.output.stdout }}" },
};

try {
  await compose("up", "--detach", "--build", "--wait", "sandbox");
  await runWorkflow();
  await runAttempts();
} catch (error) {
  await compose("logs", "--tail", "20", "sandbox").catch(() => {});
  console.error(error);
  process.exitCode = 1;
} finally {
  await compose("down", "--volumes", "--timeout", "10");
}

async function runWorkflow() {
  const port = await promisify(execFile)("docker", [...prefix, "port", "orchestrator", "8080"], { cwd: root, env });
  const answer = await fetch(`http://${port.stdout.trim()}/v1/runs`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", prefer: "wait=30" },
    body: JSON.stringify({ definition }),
  });
  const { id } = /** @type {{ id: string }} */ (await answer.json());
  const result = await fetch(`http://${port.stdout.trim()}/v1/runs/${id}/result`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const { outputs } = /** @type {{ outputs: unknown }} */ (await result.json());
  assert.deepEqual(outputs, { value: [42, "sandbox", "sandbox\n"], text: "text" });
}

/** With the repository mounted, and otherwise as the service runs: its user, its limits, its security options. */
async function runAttempts() {
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project", "sandbox", "--configLoader", "runner"];
  const mount = ["--volume", `${root}:/repository:ro`, "--workdir", "/repository"];
  await compose(
    "run",
    "--rm",
    "--no-deps",
    "-T",
    "--env",
    "CI=true",
    ...mount,
    "--entrypoint",
    "node",
    "sandbox",
    ...vitest,
  );
}

/** @param {string[]} args */
async function compose(...args) {
  const child = spawn("docker", [...prefix, ...args], { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
  const [code] = await once(child, "close");
  assert.equal(code, 0, `docker compose ${args[0]} exits with ${code}`);
}
