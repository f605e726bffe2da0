import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Embedded } from "../embedded.ts";
import { createAgentClient, createClient } from "../sdk/client.ts";
import { startS3Server } from "../store/suite/s3-server.suite.ts";
import { type InvokeOptions, invoke, startTestSystem } from "./invoke.suite.ts";

const ESCAPE = String.fromCharCode(27);

let system: Embedded;
let folder: string;

beforeAll(async () => {
  [system, folder] = await Promise.all([startTestSystem(), mkdtemp(join(tmpdir(), "skein-cli-"))]);
});
afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Against the running system. */
const skein = (args: string[], options: InvokeOptions = {}) =>
  invoke(args, { ...options, env: { SKEIN_URL: system.url, ...options.env } });

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const echo = (name: string, more = "") =>
  file(
    `${name}.yaml`,
    `name: ${name}\ntasks:\n  - { id: a, capability: core.echo, input: "{{ inputs }}" }\n` +
      `  - { id: b, needs: [a], capability: core.echo, input: "{{ tasks.a.output }}" }\noutputs: { given: "{{ tasks.b.output }}" }\n${more}`,
  );

const failing = () =>
  file(
    "failing.yaml",
    'name: failing\ntasks:\n  - { id: bad, capability: code.javascript, input: { code: "throw new Error(`no good`)" } }\n' +
      "  - { id: after, needs: [bad], capability: core.echo }\n",
  );

const endless = () =>
  file("endless.yaml", "name: endless\ntasks:\n  - { id: a, capability: core.sleep, input: { duration: 10m } }\n");

/** Submits and answers the run's id. */
async function detached(path: string): Promise<string> {
  const { stdout } = await skein(["run", path, "--detach"]);
  return stdout.trim();
}

describe("skein run", () => {
  it("prints a line for each event, then the result", async () => {
    const { code, stdout, stderr } = await skein(["run", await echo("plain"), "--input", "n=5", "--input", "s=x y"]);
    const [events = "", result = ""] = stdout.split("\n\n");
    const types = events.split("\n").map((line) => line.split(" ")[1]);
    expect(types.filter((type) => type !== "task.published")).toEqual([
      "run.submitted",
      ...["task.ready", "task.claimed", "task.completed", "task.ready", "task.claimed", "task.completed"],
      "run.completed",
    ]);
    expect(result).toMatch(/^✔ plain completed after [\d.]+m?s, 2 tasks\n/);
    expect(JSON.parse(result.slice(result.indexOf("{")))).toEqual({ given: { n: 5, s: "x y" } });
    expect([code, stderr]).toEqual([0, ""]);
  });

  it("prints the run with its tasks and nothing else with --json", async () => {
    const { code, stdout } = await skein(["run", await echo("as-json"), "--json", "--label", "team=geese"]);
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    const task = { status: "completed", started_at: time, finished_at: time };
    expect(JSON.parse(stdout)).toMatchObject({
      workflow: "as-json",
      status: "completed",
      labels: { team: "geese" },
      error: null,
      outputs: { given: {} },
      tasks: [
        { key: "a", needs: [], ...task },
        { key: "b", needs: ["a"], ...task },
      ],
    });
    expect(code).toBe(0);
  });

  it("exits with 1 and says why when the run fails", async () => {
    const { code, stdout } = await skein(["run", await failing()]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/✘ failing failed after .*, 2 tasks\n {2}bad: CODE_FAILED: Error: no good/);
    const asJson = await skein(["run", await failing(), "--json"]);
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ status: "failed", error: { code: "CODE_FAILED", task: "bad" } });
  });

  it("takes inputs from a file or from stdin, and single ones before those", async () => {
    const path = await echo("inputs");
    const inputs = await file("inputs.json", '{ "a": 1, "b": [2] }');
    const fromFile = await skein(["run", path, "--json", "--inputs", inputs, "--input", "a=9"]);
    expect(JSON.parse(fromFile.stdout).outputs).toEqual({ given: { a: 9, b: [2] } });
    const fromStdin = await skein(["run", path, "--json", "--inputs", "-"], { stdin: "a: text" });
    expect(JSON.parse(fromStdin.stdout).outputs).toEqual({ given: { a: "text" } });
  });

  it("takes the workflow from stdin", async () => {
    const { stdout } = await skein(["run", "-", "--json"], { stdin: await readFile(await echo("piped"), "utf8") });
    expect(JSON.parse(stdout)).toMatchObject({ workflow: "piped", status: "completed" });
  });

  it("is the same run under the same idempotency key", async () => {
    const args = ["run", await echo("once"), "--detach", "--idempotency-key", "once"];
    const [one, other] = [await skein(args), await skein(args)];
    expect(one.stdout).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(other.stdout).toBe(one.stdout);
  });

  it("draws a live picture on a terminal, and leaves the last one standing", async () => {
    const { stdout } = await skein(["run", await echo("live")], { terminal: { columns: 80, rows: 24 } });
    const plain = stripVTControlCharacters(stdout);
    expect(plain).toContain("live  run ");
    // A later picture writes only the lines that have changed.
    expect(plain).toMatch(/✔ a /);
    expect(plain).toMatch(/✔ b .*\n\n━+ 2\/2\n\n✔ live completed after/);
    expect(plain).not.toContain("task.ready");
  });

  it("shows a run that waits for the limit of its workflow as queued, with who holds it", async () => {
    const path = await file(
      "one-by-one.yaml",
      "name: one-by-one\nconcurrency: { limit: 1 }\ntasks:\n  - { id: gate, wait: { signal: go } }\n" +
        "  - { id: after, needs: [gate], capability: core.echo }\n",
    );
    const first = await detached(path);
    const client = createClient({ url: system.url });
    await vi.waitFor(async () => expect((await client.runs.get(first)).status).toBe("running"), 20_000);
    const id = await detached(path);
    let isFreed = false;
    const live = await skein(["runs", "watch", id], {
      terminal: { columns: 140, rows: 24 },
      onOutput: (written) => {
        if (isFreed || !stripVTControlCharacters(written).includes("is held by 1 of at most 1")) return;
        isFreed = true;
        void client.runs.cancel(first).then(() => client.runs.signal(id, "go"));
      },
    });
    const plain = stripVTControlCharacters(live.stdout);
    expect([live.code, isFreed]).toEqual([0, true]);
    expect(plain).toMatch(/0\/2 · queued \d/);
    expect(plain).toContain(`Its run has not started. one-by-one is held by 1 of at most 1: run ${first}`);
    expect(plain).toMatch(/✔ after .*\n\n━+ 2\/2\n\n✔ one-by-one completed after/);
  });

  it("says beside the lines of events why nothing goes on", async () => {
    const path = await file("nobody.yaml", "name: nobody\ntasks:\n  - { id: a, capability: cli.nobody }\n");
    const id = await detached(path);
    const client = createClient({ url: system.url });
    const { stderr, code } = await skein(["runs", "watch", id], {
      onError: (written) => {
        if (written.includes("Task a waits.")) void client.runs.cancel(id);
      },
    });
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("Task a waits. No live agent offers cli.nobody; start"),
    ]);
    expect(stderr.match(/Task a waits/g)).toHaveLength(1);
  });

  it("uses no colours where NO_COLOR asks for none", async () => {
    const { stdout } = await skein(["run", await echo("grey")], {
      env: { NO_COLOR: "1" },
      terminal: { columns: 80, rows: 24 },
    });
    // Colours and styles end with m. The cursor has to move all the same.
    expect(stdout).not.toMatch(new RegExp(`${ESCAPE}\\[[0-9;]*m`));
    expect(stdout).toContain(ESCAPE);
  });

  it("detaches with Ctrl-C, and the run goes on", async () => {
    const stop = new AbortController();
    const { code, stdout, stderr } = await skein(["run", await endless()], {
      signal: stop.signal,
      onOutput: (written) => written.includes("task.claimed") && stop.abort(),
    });
    expect(code).toBe(0);
    const id = /run=(\S+)/.exec(stdout)![1]!;
    expect(stderr).toContain(`skein runs watch ${id}`);
    expect(JSON.parse((await skein(["runs", "get", id, "--json"])).stdout).status).toBe("running");
    await skein(["runs", "cancel", id]);
  });

  it("refuses a file that is not valid, with every mistake at its place", async () => {
    const path = await file("bad.yaml", "name: w\ntasks:\n  - id: a\n    capabilty: core.echo\n    needs: [b]\n");
    const { code, stderr } = await skein(["run", path]);
    expect(code).toBe(2);
    expect(stderr.split("\n")).toEqual([
      `${path} has 3 mistakes:`,
      expect.stringMatching(/^ {2}\S+bad\.yaml:3:5 .*no `capability`.*\[WORKFLOW_INVALID\]$/),
      expect.stringMatching(/^ {2}\S+bad\.yaml:4:5 .*Did you mean "capability"\? \[WORKFLOW_KEY_UNKNOWN\]$/),
      expect.stringMatching(/^ {2}\S+bad\.yaml:5:13 .*\[WORKFLOW_NEED_UNKNOWN\]$/),
      "",
    ]);
  });

  it.each([
    ["a file that is not there", ["run", "./nowhere.yaml"], /there is no such file/],
    ["a workflow nobody registered", ["run", "nobody"], /neither a file nor a registered workflow nobody/],
    ["what is no id of a run", ["runs", "get", "nobody"], /"nobody" is not the id of a run/],
    ["nowhere to keep what it should keep", ["dev", "--in-memory", "--data-dir", "d"], /leave one of them out/],
    ["an input without a value", ["run", "w", "--input", "a"], /name=value/],
    ["a label without a value", ["run", "w", "--label", "a"], /key=value/],
    ["inputs that are a list", ["run", "w", "--inputs", "-"], /must hold an object/],
    ["both ways of watching", ["run", "w", "--watch", "--detach"], /cannot be used with/],
    ["stdin twice", ["run", "-", "--inputs", "-"], /Only one/],
    ["options of another mode", ["run", "w", "--in-memory"], /--in-memory is for the embedded system/],
    ["no workflow", ["run"], /missing required argument/],
  ])("with %s is a mistake of usage", async (_, args, words) => {
    const { code, stdout, stderr } = await skein(args, { stdin: "[]" });
    expect(stderr).toMatch(words);
    expect([code, stdout]).toEqual([2, ""]);
  });
});

/** A system of its own takes 2 s to start, and ten times as long on a busy machine. */
const SLOW = { timeout: 180_000 };

describe("skein run without a server", SLOW, () => {
  const env = { SKEIN_DATA_DIR: "" };

  it("starts a system, runs, prints the result and stops; the data is kept for the next one", async () => {
    const data = join(folder, "data");
    const args = ["run", await echo("local"), "--json", "--data-dir", data, "--idempotency-key", "k"];
    const one = await invoke(args, { env });
    expect(JSON.parse(one.stdout)).toMatchObject({ status: "completed" });
    const other = await invoke(args, { env });
    expect(JSON.parse(other.stdout).id).toBe(JSON.parse(one.stdout).id);
    expect([one.code, one.stderr, other.code]).toEqual([0, "", 0]);
    const doctor = await invoke(["doctor", "--data-dir", data]);
    expect(doctor).toEqual({ code: 0, stdout: "✔ every invariant holds (I1–I9)\n", stderr: "" });
    const account = { accessKeyId: "SKEINTEST", secretAccessKey: "not/a+secret", region: "eu-north-1" };
    const s3 = await startS3Server("skein", account);
    const blobs = {
      SKEIN_BLOBS_URL: s3.url,
      SKEIN_BLOBS_KEY_ID: account.accessKeyId,
      SKEIN_BLOBS_SECRET: account.secretAccessKey,
      SKEIN_BLOBS_REGION: account.region,
    };
    const look = (env: object, ...more: string[]) =>
      invoke(["doctor", "--data-dir", data, ...more], { env: { ...blobs, ...env } });
    const sound = await look({});
    const at = new URL(s3.url).host;
    expect(sound).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(`\n✔ objects are .* deleted at ${at}/skein\n$`),
    });
    expect([s3.objects.size, s3.log.length]).toEqual([0, 4]);
    const sick = await look({ SKEIN_BLOBS_SECRET: "guessed" });
    expect(sick.code).toBe(1);
    expect(sick.stdout).toMatch(
      /^✔ every invariant holds .*\n✘ no object can be written at .*\n {2}PUT of .* 403 Sig.* SKEIN_BLOBS_SECRET/,
    );
    expect(sick.stdout).not.toContain("guessed");
    const json = await look({ SKEIN_BLOBS_URL: s3.url.replace("/skein", "/goose") }, "--json");
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
      1,
      {
        healthy: false,
        violations: [],
        object_store: {
          at: `${at}/goose`,
          healthy: false,
          step: "write",
          message: expect.stringMatching(/404 NoSuchBucket.*exists/),
        },
      },
    ]);
    await s3.close();
    const repair = await invoke(["doctor", "--data-dir", data, "--repair", "--apply"]);
    expect(repair).toEqual({
      code: 0,
      stdout: "✔ every invariant holds, so there is nothing to repair\n",
      stderr: "",
    });
    expect((await invoke(["doctor", "--data-dir", data, "--apply"])).code).toBe(2);
  });

  it("cancels the run with Ctrl-C and exits with 1", async () => {
    const stop = new AbortController();
    const { code, stdout } = await invoke(["run", await endless(), "--in-memory"], {
      env,
      signal: stop.signal,
      onOutput: (written) => written.includes("task.claimed") && stop.abort(),
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/run\.cancelled.*\n\n⊘ endless cancelled after/s);
  });

  it("runs executors of one's own", async () => {
    const module = await file(
      "mine.mjs",
      `export const mine = { capability: "my.double", version: "1", description: "",
         parseInput: (value) => value, parseOutput: (value) => value, run: ({ input }) => input * 2 };`,
    );
    const path = await file(
      "mine.yaml",
      "name: mine\ntasks: [{ id: a, capability: my.double, input: 21 }]\noutputs: '{{ tasks.a.output }}'\n",
    );
    const { stdout } = await invoke(["run", path, "--in-memory", "--json", "--executors", module], { env });
    expect(JSON.parse(stdout).outputs).toBe(42);
  });

  it("cannot detach", async () => {
    expect(await invoke(["run", "w", "--detach"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--server/),
    });
  });
});

describe("skein dev", SLOW, () => {
  it("serves, runs the example, and stops when it is told to", async () => {
    const stop = new AbortController();
    let answered: Promise<Response> | undefined;
    const { code, stdout, stderr } = await invoke(["dev", "--in-memory", "--port", "0", "--example"], {
      signal: stop.signal,
      onOutput: (written) => {
        if (!written.includes("Ctrl-C stops it") || answered) return;
        const [, url = ""] = /running at (\S+)/.exec(written) ?? [];
        answered = fetch(`${url}/readyz`);
        void answered.finally(() => stop.abort());
      },
    });
    expect([code, stderr]).toEqual([0, ""]);
    expect((await answered)?.status).toBe(200);
    expect(stdout).toContain("✔ hello completed");
    expect(stdout).toMatch(/embedded mode, single process/);
    expect(stdout).toMatch(/Docs +http:.*\/docs\n/);
    expect(stdout).toMatch(/curl -s http:/);
  });

  it("says which port is taken", async () => {
    const { code, stderr } = await invoke(["dev", "--in-memory", "--port", new URL(system.url).port]);
    expect(stderr).toMatch(/Cannot listen on 127\.0\.0\.1:\d+/);
    expect(code).toBe(2);
  });

  it("needs a key before others can reach it", async () => {
    expect(await invoke(["dev", "--in-memory", "--host", "0.0.0.0"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/SKEIN_ADMIN_KEY/),
    });
  });
});

describe("skein runs", () => {
  let good: string;
  let bad: string;
  beforeAll(async () => {
    const ids = await Promise.all(
      [await echo("listed"), await failing()].map(
        async (path) => JSON.parse((await skein(["run", path, "--json"])).stdout).id,
      ),
    );
    [good, bad] = ids as [string, string];
  });

  it("list shows them as a table, filtered, and as JSON", async () => {
    const table = await skein(["runs", "list", "--workflow", "listed"]);
    expect(table.stdout).toMatch(
      new RegExp(`^RUN +WORKFLOW +STATUS +TASKS +CREATED +TOOK\n${good} +listed +completed +2/2 +\\S+Z +\\S+\n$`),
    );
    const json = await skein(["runs", "list", "--status", "failed", "--limit", "1", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject([{ status: "failed" }]);
  });

  it("list goes by time, and by a part of the workflow's name", async () => {
    const found = async (...options: string[]) => {
      const { stdout } = await skein(["runs", "list", "--json", ...options]);
      return (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);
    };
    expect(await found("--name", "LIST", "--since", "1h")).toEqual([good]);
    expect(await found("--name", "list", "--until", "1h")).toEqual([]);
    expect(await found("--finished-since", "2020-01-01", "--status", "failed", "--status", "paused")).toContain(bad);
    expect(await skein(["runs", "list", "--since", "soon"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/"soon" is no time/),
    });
  });

  it("bulk says how many there are, and does it to as many", async () => {
    const label = ["--label", "for=bulk"];
    const path = await endless();
    for (let n = 0; n < 2; n++) await skein(["run", path, "--detach", ...label]);
    const looked = await skein(["runs", "bulk", "cancel", ...label, "--dry-run"]);
    expect(looked.stdout).toBe("2 runs; to cancel them: --expect 2\n");
    expect(await skein(["runs", "bulk", "cancel", ...label])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/about 2 runs/),
    });
    expect(await skein(["runs", "bulk", "cancel", ...label, "--expect", "2"])).toMatchObject({
      code: 0,
      stdout: "2 runs being cancelled\n",
    });
  });

  it("get shows a run and its tasks", async () => {
    const { stdout } = await skein(["runs", "get", bad]);
    expect(stdout).toMatch(
      /✘ failing failed\nrun .*\nCODE_FAILED: Error: no good.*\n\nTASK +STATUS .*\nbad +failed +code\.javascript +1 .*CODE_FAILED/,
    );
    expect(stdout).toMatch(/after +skipped +core\.echo +0 +need_not_completed/);
  });

  it("watch replays a run that has ended, and exits as it did", async () => {
    expect(await skein(["runs", "watch", good])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("run.completed"),
    });
    expect(await skein(["runs", "watch", bad])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("run.failed"),
    });
    const { code, stdout } = await skein(["runs", "watch", bad, "--json"]);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).type);
    expect([code, events.at(0), events.at(-1)]).toEqual([1, "run.submitted", "run.failed"]);
  });

  it("result prints the outputs, exits with 1 for a failed run, and with 2 while there is none", async () => {
    expect(await skein(["runs", "result", good])).toEqual({ code: 0, stdout: '{\n  "given": {}\n}\n', stderr: "" });
    const failed = await skein(["runs", "result", bad]);
    expect(failed).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/failed: CODE_FAILED/) });
    const id = await detached(await endless());
    expect(await skein(["runs", "result", id])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("RUN_NOT_FINISHED"),
    });
    await skein(["runs", "cancel", id]);
  });

  it("retry runs again what failed, and keeps the rest", async () => {
    const id = await detached(
      await file(
        "second.yaml",
        "name: second\ntasks:\n  - { id: a, capability: core.echo, input: 7 }\n" +
          "  - { id: b, needs: [a], capability: code.javascript, input: { input: { n: '{{ run.attempt }}' },\n" +
          "      code: 'if (input.n < 2) throw new Error(`too soon`); return input.n' } }\n",
      ),
    );
    expect((await skein(["runs", "watch", id])).code).toBe(1);
    const { code, stdout } = await skein(["runs", "retry", id, "--watch"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/task\.kept task=a\n.*task\.ready task=b/s)]);
    expect(stdout).toMatch(/"b": 2/);
    const named = await skein(["runs", "retry", id, "--from", "a", "--idempotency-key", "k"]);
    expect(named.stdout).toMatch(new RegExp(`^Run \\S+ retries run ${id}\\.\n$`));
    const again = await skein(["runs", "retry", id, "--from", "a", "--idempotency-key", "k", "--json"]);
    const run = JSON.parse(again.stdout) as { id: string; retried_from: string };
    expect(named.stdout).toContain(run.id);
    expect(run.retried_from).toBe(id);
    const bounded = await skein([
      "runs",
      "retry",
      id,
      "--budget",
      "calls=9",
      "--budget",
      "on_exhausted=wait",
      "--json",
    ]);
    expect(JSON.parse(bounded.stdout)).toMatchObject({ budget: { limits: { calls: 9 }, on_exhausted: "wait" } });
    expect(await skein(["runs", "retry", id, "--from", "c"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("TASK_UNKNOWN"),
    });
    expect(await skein(["runs", "retry", good])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("NOTHING_TO_RETRY"),
    });
  });

  it("fork changes inputs and tasks of what a run has done", async () => {
    const path = await echo("forked");
    const { id } = JSON.parse((await skein(["run", path, "--input", "n=1", "--input", "m=2", "--json"])).stdout);
    const watched = async (...args: string[]) =>
      JSON.parse((await skein(["runs", "fork", id, "--watch", "--json", ...args])).stdout);
    expect(await watched("--input", "n=3")).toMatchObject({
      retried_from: id,
      attempt: 2,
      outputs: { given: { n: 3, m: 2 } },
    });
    const inputs = await file("fork.json", '{ "only": true }');
    expect(await watched("--inputs", inputs)).toMatchObject({ outputs: { given: { only: true } } });
    const kept = await watched("--inputs", inputs, "--from", "b");
    expect(kept).toMatchObject({ inputs: { only: true }, outputs: { given: { n: 1, m: 2 } } });
    const edits = await file("edits.yaml", "b:\n  input: { edited: '{{ tasks.a.output.n }}' }\n");
    expect(await watched("--edits", edits)).toMatchObject({ outputs: { given: { edited: 1 } } });
    expect((await skein(["runs", "fork", id])).stdout).toMatch(new RegExp(`^Run \\S+ is a fork of run ${id}\\.\n$`));
    const wrong = await file("wrong.yaml", "b: { inptu: 1 }\n");
    expect(await skein(["runs", "fork", id, "--edits", wrong])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Did you mean "input"\?.*WORKFLOW_KEY_UNKNOWN/),
    });
    expect(await skein(["runs", "fork", id, "--edits", "-", "--inputs", "-"])).toMatchObject({ code: 2 });
  });

  it("cancel stops a run", async () => {
    const id = await detached(await endless());
    expect(await skein(["runs", "cancel", id, "--reason", "enough"])).toMatchObject({ code: 0 });
    const { code, stdout } = await skein(["runs", "watch", id]);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/run\.cancelled/)]);
    expect(await skein(["runs", "cancel", good])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("RUN_ALREADY_FINISHED"),
    });
  });

  it("pause keeps what is ready back, and resume lets it go on", async () => {
    const path = await file(
      "pausable.yaml",
      "name: pausable\ntasks:\n  - { id: go, wait: { signal: go } }\n  - { id: a, needs: [go], capability: core.echo, input: {} }\n",
    );
    const id = await detached(path);
    const paused = { code: 0, stdout: `Run ${id} is paused.\n`, stderr: "" };
    expect(await skein(["runs", "pause", id, "--reason", "lunch time"])).toEqual(paused);
    expect(await skein(["runs", "pause", id])).toEqual(paused);
    expect((await skein(["runs", "get", id])).stdout).toContain("pausable paused");
    let told = "";
    const watching = skein(["runs", "watch", id], { onOutput: (written) => (told = written) });
    await skein(["runs", "signal", id, "go"]);
    await expect.poll(() => told).toContain("task.ready task=a");
    const report = JSON.parse((await skein(["runs", "resume", id, "--json"])).stdout);
    expect(report).toMatchObject({ id, paused_by: null });
    const { code, stdout } = await watching;
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /run\.paused run=.* by=local reason="lunch time"\n.*task\.ready task=a .*\n.*run\.resumed run=.* by=local\n.*task\.(published|claimed) task=a .*run\.completed/s,
      ),
    ]);
    expect(await skein(["runs", "pause", id])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("RUN_ALREADY_FINISHED"),
    });
  });

  it("logs tell the story of a run", async () => {
    const { stdout } = await skein(["runs", "logs", bad]);
    expect(stdout).toMatch(/Z info {2}orchestrator run submitted/);
    expect(stdout).toMatch(/Z error orchestrator bad#1 task failed \{"error":/);
    const lines = (await skein(["runs", "logs", bad, "--json"])).stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).message)).toContain("task failed");
  });

  it("graph and timeline go to stdout or into a file, whose name gives the format", async () => {
    expect((await skein(["runs", "graph", good])).stdout).toMatch(/^(---|flowchart|graph)/);
    expect(JSON.parse((await skein(["runs", "graph", good, "--json"])).stdout)).toMatchObject({ workflow: "listed" });
    const svg = join(folder, "run.svg");
    expect(await skein(["runs", "graph", good, "-o", svg])).toEqual({
      code: 0,
      stdout: "",
      stderr: `Written to ${svg}.\n`,
    });
    expect(await readFile(svg, "utf8")).toContain("<svg");
    await skein(["runs", "timeline", good, "--output", svg]);
    expect(await readFile(svg, "utf8")).toContain("<svg");
    expect(JSON.parse((await skein(["runs", "timeline", good])).stdout)).toMatchObject({ workflow: "listed" });
    expect(await skein(["runs", "graph", good, "--format", "png"])).toMatchObject({ code: 2 });
  });

  it("of an unknown run exits with 2", async () => {
    const id = "01980000-0000-7000-8000-000000000000";
    for (const verb of [
      "get",
      "watch",
      "result",
      "logs",
      "graph",
      "timeline",
      "cancel",
      "pause",
      "resume",
      "retry",
      "fork",
    ]) {
      expect(await skein(["runs", verb, id])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("RUN_NOT_FOUND"),
      });
    }
  });
});

describe("skein dead-letters", () => {
  it("are listed, shown, redriven and discarded, one and many", async () => {
    const path = await failing();
    const runs = [await detached(path), await detached(path), await detached(path), await detached(path)];
    for (const id of runs) await skein(["runs", "watch", id]);
    const find = async () => {
      const { stdout } = await skein(["dead-letters", "list", "--workflow", "failing", "--json"]);
      return JSON.parse(stdout) as { id: string; run_id: string }[];
    };
    const ofRun = async (run: string) => (await find()).find(({ run_id }) => run_id === run)!.id;
    const [one, two, three] = await Promise.all(runs.map(ofRun));
    const table = (await skein(["dead-letters", "list", "--capability", "code.javascript"])).stdout;
    expect(table).toMatch(new RegExp(`${one} .*failing +bad +code.javascript +1 +.*no good`));
    const shown = await skein(["dead-letters", "get", one!]);
    expect(shown.stdout).toContain(`task bad of run ${runs[0]}`);
    expect(shown.stdout).toMatch(/1 +failed +[0-9a-f-]{36} .*no good/);
    expect((await skein(["dead-letters", "redrive", one!])).stdout).toMatch(/^Run [0-9a-f-]{36} does its work again/);
    expect((await skein(["dead-letters", "discard", two!, "--reason", "a test"])).stdout).toContain("is discarded");
    const refused = await skein(["dead-letters", "redrive", two!]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("DEAD_LETTER_SETTLED")]);
    const many = await skein(["dead-letters", "redrive", "--run", runs[2]!]);
    expect(many.stdout).toMatch(new RegExp(`^Run [0-9a-f-]{36} retries ${runs[2]}: 1 dead letter\\.\n$`));
    expect(many.code).toBe(0);
    expect((await find()).map(({ id }) => id)).not.toContain(three);
    expect((await skein(["dead-letters", "discard", "--run", runs[3]!])).stdout).toBe("1 dead letter discarded.\n");
    const all = await skein(["dead-letters", "discard"]);
    expect([all.code, all.stderr]).toEqual([2, expect.stringContaining("--workflow")]);
  });
});

describe("skein schedules", () => {
  it("are created, listed, shown, paused, backfilled and deleted", async () => {
    await skein(["workflow", "register", await echo("calendar")]);
    const create = ["schedules", "create", "nightly", "--cron", "30 2 * * *", "--workflow", "calendar"];
    const more = ["--timezone", "Europe/Berlin", "--input", "n=1", "--tick-input", "at", "--overlap", "allow"];
    const created = await skein([...create, ...more, "--label", "a=b", "--catch-up", "all", "--priority", "3"]);
    expect(created.stdout).toMatch(/^Schedule nightly fires next at \d{4}-.*:30:00\.000Z\.\n$/);
    const { stdout } = await skein(["schedules", "get", "nightly", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      inputs: { n: 1 },
      tick_input: "at",
      labels: { a: "b" },
      catch_up: "all",
      catch_up_limit: 100,
      overlap: "allow",
      priority: 3,
    });
    expect((await skein(["schedules", "get", "nightly"])).stdout).toContain("  timezone: Europe/Berlin\n");
    const update = ["schedules", "update", "nightly"];
    const changed = await skein([...update, "--jitter", "5m", "--description", "of the night", "--if-revision", "1"]);
    expect(changed.stdout).toMatch(/^Schedule nightly fires next at \d{4}-.*:30:00\.000Z\.\n$/);
    expect((await skein([...update, "--priority", "4", "--if-revision", "1"])).stderr).toContain("SCHEDULE_CONFLICT");
    const undone = await skein([...update, "--no-jitter", "--no-description", "--json"]);
    const { jitter, description, revision, tick_input } = JSON.parse(undone.stdout) as Record<string, unknown>;
    expect([jitter, description, revision, tick_input]).toEqual([undefined, undefined, 3, "at"]);
    expect(await skein(update)).toMatchObject({ code: 2, stderr: expect.stringContaining("--cron") });
    expect((await skein(["schedules", "list"])).stdout).toMatch(/nightly +calendar +30 2 \* \* \* +Europe\/Berlin +\d/);
    expect((await skein(["schedules", "next", "nightly", "--count", "3"])).stdout.trim().split("\n")).toHaveLength(3);
    const backfill = [
      "schedules",
      "backfill",
      "nightly",
      "--from",
      "2026-03-28T12:00:00Z",
      "--to",
      "2026-03-30T12:00:00Z",
    ];
    expect((await skein(backfill)).stdout).toBe("2 ticks of nightly will be fired.\n");
    expect((await skein(backfill)).stdout).toContain("2 ticks had been fired, or was going to be");
    await vi.waitFor(async () => {
      const { stdout: runs } = await skein(["runs", "list", "--schedule", "nightly", "--json"]);
      const found = JSON.parse(runs) as { status: string; inputs: object }[];
      expect(found.map(({ inputs }) => inputs)).toEqual([
        { n: 1, at: "2026-03-30T00:30:00.000Z" },
        { n: 1, at: "2026-03-29T01:00:00.000Z" },
      ]);
    }, 20_000);
    const ticks = await skein(["schedules", "ticks", "nightly", "--outcome", "fired"]);
    expect(ticks.stdout).toMatch(/2026-03-29T01:00:00.000Z +fired +[0-9a-f-]{36} +by a backfill/);
    expect((await skein(["schedules", "pause", "nightly", "--reason", "storm"])).stdout).toContain("is paused");
    expect((await skein(["schedules", "list"])).stdout).toContain("paused by ");
    expect((await skein(["schedules", "resume", "nightly"])).stdout).toContain("fires next at");
    expect((await skein(["schedules", "delete", "nightly"])).stdout).toContain("is deleted");
    const gone = await skein(["schedules", "get", "nightly"]);
    expect([gone.code, gone.stderr]).toEqual([2, expect.stringContaining("SCHEDULE_NOT_FOUND")]);
  });

  it("that can never fire are refused, with the reason", async () => {
    const create = ["schedules", "create", "never", "--workflow", "calendar", "--cron", "0 0 30 2 *"];
    const { code, stderr } = await skein(create);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/SCHEDULE_NEVER_FIRES.*\/cron|never fires/s)]);
  });
});

describe("skein workflow", () => {
  it("validate tells the mistakes of all files, without a server", async () => {
    const good = await echo("valid");
    const bad = await file("invalid.yaml", "name: w\ntasks: []\n");
    const { code, stdout, stderr } = await invoke(["workflow", "validate", good, bad]);
    expect(code).toBe(2);
    expect(stdout.split("\n")).toEqual([
      `✔ ${good}: valid, 2 tasks`,
      "  A run has 2 tasks, 2 to 6 attempts.",
      expect.stringMatching(/^ {2}It takes at most 1h00m, besides waiting for agents; the longest chain is .* → .*\.$/),
      "",
    ]);
    expect(stderr).toMatch(/invalid\.yaml:2:8 .*\[WORKFLOW_INVALID\]/);
    const asJson = await invoke(["workflow", "validate", bad, "--json"]);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      valid: false,
      errors: [{ pointer: "/tasks", line: 2, column: 8 }],
    });
    expect(asJson).toMatchObject({ code: 2, stderr: "" });
  });

  it("validate says how long the limits of tasks keep a run going", async () => {
    const limited = join(import.meta.dirname, "../examples/validate/limited.yaml");
    const { code, stdout } = await invoke(["workflow", "validate", limited]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^ {2}It takes at least 1\.4s, at most 5m00s, /m)]);
    expect(stdout).toContain("  The limit of pages.example.org keeps it going for at least 1.4s.\n");
  });

  it("validate says what is odd about a file, more of it where a server knows the agents, and fails for it when it is strict", async () => {
    const odd = join(import.meta.dirname, "../examples/validate/odd.yaml");
    const alone = await invoke(["workflow", "validate", odd]);
    expect(alone.code).toBe(0);
    expect(alone.stdout).toMatch(/odd\.yaml:16:5 warning Task "skim" can never start: .* \[TASK_NEVER_STARTS\]/);
    expect(alone.stdout).not.toContain("CAPABILITY_NOT_OFFERED");
    const asked = await skein(["workflow", "validate", odd]);
    expect(asked.stdout).toMatch(
      /odd\.yaml:32:17 warning .* The nearest that is offered is core\.echo\. \[CAPABILITY_NOT/,
    );
    expect(await skein(["workflow", "validate", odd, "--offline"])).toMatchObject({ stdout: alone.stdout });
    expect(await invoke(["workflow", "validate", odd, "--strict"])).toMatchObject({ code: 2 });
    const plain = join(import.meta.dirname, "../examples/validate/plain.yaml");
    expect(await skein(["workflow", "validate", plain, "--strict"])).toMatchObject({ code: 0, stderr: "" });
    const { stdout } = await skein(["workflow", "validate", odd, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      file: odd,
      valid: true,
      findings: expect.arrayContaining([expect.objectContaining({ severity: "info", code: "INPUT_UNUSED", line: 8 })]),
      bounds: { tasks: { least: 5, most: 25 } },
    });
  });

  it("save-from-run keeps what a run is a run of under a name, and runs it again", async () => {
    const path = await echo("once", "description: Written inline.\n");
    const { id } = JSON.parse((await skein(["run", path, "--json"])).stdout);
    expect((await skein(["workflow", "save-from-run", id, "--name", "often"])).stdout).toMatch(/^Registered often@1\./);
    expect((await skein(["workflow", "save-from-run", id, "--name", "often"])).stdout).toMatch(/^Registered often@1\./);
    const changed = await skein([
      "workflow",
      "save-from-run",
      id,
      "--name",
      "often",
      "--description",
      "Kept.",
      "--json",
    ]);
    expect(JSON.parse(changed.stdout)).toMatchObject({
      version: 2,
      definition: { name: "often", description: "Kept." },
    });
    expect(JSON.parse((await skein(["run", "often", "--json"])).stdout)).toMatchObject({
      workflow: "often",
      version: 2,
    });
    expect((await skein(["workflow", "save-from-run", "x", "--name", "often"])).stderr).toContain(
      "is not the id of a run",
    );
    expect((await skein(["workflow", "save-from-run", id, "--name", "not a name"])).stderr).toContain("/name");
  });

  it("register stores a version that list and get show and run runs", async () => {
    const path = await echo("kept", "description: Kept for later.\n");
    expect((await skein(["workflow", "register", path])).stdout).toMatch(/^Registered kept@1\./);
    expect((await skein(["workflow", "register", path])).stdout).toMatch(/^Registered kept@1\./);
    expect((await skein(["workflow", "list"])).stdout).toMatch(/kept@1 +2 +\S+ +Kept for later\./);
    const { stdout } = await skein(["workflow", "get", "kept@1"]);
    expect(await skein(["workflow", "validate", await file("got.yaml", stdout)])).toMatchObject({ code: 0 });
    for (const name of ["kept", "kept@1"]) {
      expect(JSON.parse((await skein(["run", name, "--json"])).stdout)).toMatchObject({ workflow: "kept", version: 1 });
    }
    expect(await skein(["workflow", "get", "kept@7"])).toMatchObject({ code: 2 });
    expect(await skein(["workflow", "get", "kept@x"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/name@3/),
    });
  });
});

describe("skein plan --template", () => {
  it("takes the registered workflow, and names it when it does not fit", async () => {
    const path = await echo("fitting", "goal: { want: { given: a.thing } }\n");
    await skein(["workflow", "register", path]);
    const { code, stderr } = await skein(["plan", "a.thing -> some.type", "--template", "fitting"]);
    expect(code).toBe(2);
    expect(stderr).toContain("Template fitting@1: it does not give some.type");
  });
});

describe("skein agents, capabilities and keys", () => {
  it("show who is there and what can be asked", async () => {
    expect((await skein(["agents", "list"])).stdout).toMatch(/ live +queue +\d+\/16 +\S+ ago +.*core\.echo/);
    expect((await skein(["capabilities"])).stdout).toMatch(/core\.sleep +\S+ +1 +16 +Waits/);
    expect(JSON.parse((await skein(["capabilities", "--json"])).stdout)).toContainEqual(
      expect.objectContaining({ name: "core.echo", agents: 1 }),
    );
  });

  it("show what an agent keeps and has been told, by its id or name", async () => {
    const client = createClient({ url: system.url });
    const { id } = await client.agents.register({ name: "clerk", capabilities: ["file"] });
    expect(await skein(["agents", "state", "clerk"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/STATE_NOT_FOUND/),
    });
    const { state, memory } = client.agentData("clerk");
    await state.write({ count: 3 }, { ttl: "1h" });
    await memory.add([
      { type: "observation", content: "grey \u001b[31mgeese" },
      { type: "thought", content: { about: "geese" }, ttl: "1d" },
      { type: "thought", content: "ducks" },
    ]);
    await client.messages.send([{ to: id, body: { n: 1 }, type: "told", conversation: "c1" }]);

    const shown = await skein(["agents", "state", id]);
    expect(JSON.parse(shown.stdout)).toEqual({ count: 3 });
    expect(shown.stderr).toMatch(/^Revision 1, written \S+ ago, gone in 59m\d\ds\.\n$/);
    expect(JSON.parse((await skein(["agents", "state", "clerk", "--json"])).stdout)).toMatchObject({
      document: { count: 3 },
      revision: 1,
    });

    const remembered = (await skein(["agents", "memory", "clerk"])).stdout.trim().split("\n");
    expect(remembered.map((line) => line.split(/ {2,}/).at(-1))).toEqual([
      "CONTENT",
      '"ducks"',
      '{"about":"geese"}',
      '"grey \\u001b[31mgeese"',
    ]);
    const found = await skein(["agents", "memory", id, "--type", "thought", "--search", "geese", "--json"]);
    expect(JSON.parse(found.stdout)).toMatchObject([{ type: "thought", content: { about: "geese" } }]);
    expect(JSON.parse((await skein(["agents", "memory", id, "--limit", "1", "--json"])).stdout)).toHaveLength(1);

    const inbox = await skein(["agents", "inbox", "clerk"]);
    expect(inbox.stdout).toMatch(/ local \(client\) +clerk +told +c1 +\S+ ago +in 6d\S+ +\{"n":1\}\n$/);
    expect(JSON.parse((await skein(["agents", "inbox", id, "--json"])).stdout)).toMatchObject([{ body: { n: 1 } }]);
    expect(await skein(["agents", "inbox", "0198c0de-0000-7000-8000-000000000000"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/AGENT_NOT_FOUND/),
    });
  });

  it("send sends to an agent, a topic or all; topics are subscribed to, inboxes followed, replies awaited", async () => {
    const client = createClient({ url: system.url });
    const { id, agent_token } = await client.agents.register({ name: "hearer", capabilities: ["none"] });
    const topics = await skein(["agents", "topics", "hearer", "--subscribe", "geese", "--subscribe", "ducks"]);
    expect(topics.stdout).toMatch(/^TOPIC +SUBSCRIBED\nducks .*\ngeese .*\n$/);
    const left = await skein(["agents", "topics", "hearer", "--unsubscribe", "ducks", "--json"]);
    expect(JSON.parse(left.stdout)).toMatchObject([{ topic: "geese" }]);
    expect((await skein(["send", '{"n":1}', "--to", "hearer", "--type", "told"])).stdout).toMatch(/^\S+ is sent\n$/);
    const post = ["send", "honk", "--topic", "geese", "--key", "k"];
    expect((await skein(post)).stdout).toMatch(/ is sent to 1 agent\n$/);
    expect((await skein(post)).stdout).toMatch(/ was sent before to 1 agent\n$/);
    expect(JSON.parse((await skein(["send", "all", "--broadcast", "--json"])).stdout)).toMatchObject([{ missed: 0 }]);
    expect(await skein(["send", "nowhere"])).toMatchObject({ code: 2, stderr: expect.stringMatching(/--to <agent>/) });
    expect(await skein(["send", "x", "--to", "a", "--broadcast"])).toMatchObject({ code: 2 });

    const stop = new AbortController();
    let seen = "";
    const onOutput = (written: string) => {
      seen += written;
      if (seen.split("\n").length > 3) stop.abort();
    };
    const followed = await invoke(["agents", "inbox", "hearer", "--follow", "--server", system.url], {
      signal: stop.signal,
      onOutput,
    });
    expect(followed.code).toBe(0);
    expect(followed.stdout.split("\n").map((line) => line.slice(37))).toEqual([
      'local (client) → hearer told {"n":1}',
      'local (client) → topic geese "honk"',
      'local (client) → all "all"',
      "",
    ]);

    expect(await skein(["send", "?", "--to", "nobody", "--ask", "1ms"])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/Nobody replied/),
    });
    const hearer = createAgentClient({ url: system.url }, { id, agent_token });
    const answering = (async () => {
      for await (const { id, type, from } of hearer.data.inbox.stream()) {
        if (type === "ask") return hearer.send([{ to: from.name, reply_to: id, body: "!" }]);
      }
    })();
    const reply = await skein(["send", "?", "--to", "hearer", "--type", "ask", "--ask", "20s"]);
    expect(reply).toMatchObject({ code: 0, stdout: '"!"\n', stderr: "Reply of hearer:\n" });
    await answering;
  });

  it("memory has keys that are written, read, listed, watched and deleted", async () => {
    expect((await skein(["memory", "put", "plans", "a/1", '{"n":1}', "--ttl", "1h"])).stdout).toBe(
      "a/1 has revision 1\n",
    );
    expect(await skein(["memory", "put", "plans", "a/1", "x", "--if-revision", "0"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/MEMORY_CONFLICT/),
    });
    await skein(["memory", "put", "plans", "b", "text"]);
    const got = await skein(["memory", "get", "plans", "a/1"]);
    expect(JSON.parse(got.stdout)).toEqual({ n: 1 });
    expect(got.stderr).toMatch(/^Revision 1, written \S+ ago by local\.\n$/);
    expect((await skein(["memory", "list", "plans", "--prefix", "a"])).stdout).toMatch(
      /\na\/1 +1 +\S+ ago +local +\{"n":1\}\n$/,
    );
    const stop = new AbortController();
    const onOutput = (written: string) => void (written.includes("gone") && stop.abort());
    const watching = skein(["memory", "list", "plans", "--watch"], { signal: stop.signal, onOutput });
    await skein(["memory", "delete", "plans", "a/1"]);
    await skein(["memory", "put", "plans", "over", "1", "--ttl", "1ms"]);
    const watched = await watching;
    expect(watched.code).toBe(0);
    expect(watched.stdout).toMatch(/^2 b = "text" \(local\)$/m);
  });

  it("agents are watched as they come and go", async () => {
    const stop = new AbortController();
    const client = createClient({ url: system.url });
    const onOutput = (written: string) => void (written.includes("left") && stop.abort());
    const watching = skein(["agents", "watch"], { signal: stop.signal, onOutput });
    // The watch may begin after an agent has come, so agents come until one is seen to go.
    while (!stop.signal.aborted) {
      const agent = await client.agents.register({ name: "passer-by", capabilities: ["none"] });
      await createAgentClient({ url: system.url }, agent).leave();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await watching).stdout).toMatch(/^\S+Z left passer-by \S+$/m);
  });

  it("the cache of outputs is counted and cleared", async () => {
    const cached = await file(
      "cached.yaml",
      "name: cached\ntasks: [{ id: a, capability: core.echo, input: 1, cache: { ttl: 1h } }]",
    );
    for (let n = 0; n < 2; n++)
      expect(await skein(["run", cached])).toMatchObject({ code: 0, stdout: expect.stringMatching(/1/) });
    expect((await skein(["cache", "stats"])).stdout).toMatch(/core\.echo +\S+ +1 +1 +1 /);
    expect(await skein(["cache", "clear", "--capability", "core.echo@99"])).toMatchObject({
      stdout: "0 outputs forgotten\n",
    });
    expect(await skein(["cache", "clear", "--capability", "core.echo"])).toMatchObject({
      stdout: "1 output forgotten\n",
    });
    expect(JSON.parse((await skein(["cache", "stats", "--json"])).stdout)).toEqual([]);
  });

  it("keys are created, listed, used and revoked", async () => {
    const created = await skein(["keys", "create", "ci", "--scope", "runs:read"]);
    const key = created.stdout.trim();
    expect(key).toMatch(/^skk_/);
    expect(created.stderr).toMatch(/will not be shown again/);
    expect(await skein(["runs", "list", "--api-key", key])).toMatchObject({ code: 0 });
    const refused = await skein(["run", await echo("refused"), "--api-key", key]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("SCOPE_MISSING") });
    const listed = JSON.parse((await skein(["keys", "list", "--json"])).stdout) as { id: string; name: string }[];
    const { id } = listed.find(({ name }) => name === "ci")!;
    expect((await skein(["keys", "list"])).stdout).not.toContain(key);
    expect(await skein(["keys", "revoke", id])).toMatchObject({ code: 0 });
    expect(await skein(["keys", "create", "x", "--scope", "everything"])).toMatchObject({ code: 2 });
  });

  it("limits are set, listed, read and removed, and refused with a remedy", async () => {
    expect(await skein(["limits", "set", "crm acme", "--concurrency", "3", "--rate", "600/60s"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^KEY +AT ONCE +RATE +HELD BY +PAUSED +CHANGED\ncrm acme +3 +600\/1m +0 +- +\S+\n$/,
      ),
    });
    const listed = JSON.parse((await skein(["limits", "list", "--json"])).stdout) as { key: string }[];
    expect(listed).toContainEqual(expect.objectContaining({ key: "crm acme", concurrency: 3 }));
    expect((await skein(["limits", "get", "crm acme"])).stdout).toContain("600/1m");
    expect((await skein(["limits", "pause", "@capability:work", "--reason", "broken"])).stdout).toBe(
      "@capability:work is paused. Nothing runs under it.\n",
    );
    expect((await skein(["limits", "list"])).stdout).toMatch(/@capability:work .* by .*: broken/);
    expect(await skein(["limits", "pause", "@capability:work"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("FLOW_LIMIT_PAUSED"),
    });
    expect((await skein(["limits", "resume", "@capability:work"])).stdout).toBe("@capability:work goes on.\n");
    expect(await skein(["limits", "resume", "@capability:work"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("FLOW_LIMIT_NOT_PAUSED"),
    });
    expect(await skein(["limits", "remove", "crm acme"])).toMatchObject({ code: 0 });
    expect(await skein(["limits", "remove", "crm acme"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("FLOW_LIMIT_NOT_FOUND"),
    });
    for (const wrong of [["--concurrency", "0"], ["--rate", "fast"], ["--rate", "0/1m"], ["--rate", "5/moon"], []]) {
      expect(await skein(["limits", "set", "crm", ...wrong])).toMatchObject({ code: 2, stdout: "" });
    }
  });
});

describe("skein import wfcommons", () => {
  const instance = JSON.stringify({
    name: "flow",
    schemaVersion: "1.5",
    workflow: {
      specification: {
        tasks: [
          { id: "a", parents: [] },
          { id: "b b", parents: ["a"] },
        ],
      },
      execution: { tasks: [{ id: "a", runtimeInSeconds: 2 }] },
    },
  });

  it("writes a workflow that can be run", async () => {
    const path = await file("instance.json", instance);
    const { code, stdout, stderr } = await invoke(["import", "wfcommons", path, "--time-scale", "0.001"]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/1 id had to be changed, such as "b b" to b_b/)]);
    const run = await skein(["run", "-", "--json"], { stdin: stdout });
    expect(JSON.parse(run.stdout).tasks).toMatchObject([{ key: "a" }, { key: "b_b", needs: ["a"] }]);
  });

  it("writes JSON into a file called so", async () => {
    const out = join(folder, "flow.json");
    expect(await invoke(["import", "wfcommons", await file("instance.json", instance), "-o", out])).toMatchObject({
      code: 0,
    });
    expect(JSON.parse(await readFile(out, "utf8"))).toMatchObject({ name: "flow" });
  });

  it.each(["-1", "x", ""])("refuses the time scale %j", async (scale) => {
    expect(await invoke(["import", "wfcommons", "x", "--time-scale", scale])).toMatchObject({ code: 2 });
  });
});

describe("skein doctor", () => {
  it("says what it needs when there is no database to look into", async () => {
    const remote = await invoke(["doctor"], { env: { SKEIN_URL: system.url } });
    expect(remote).toMatchObject({ code: 2, stderr: expect.stringMatching(/DATABASE_URL/) });
    const local = await invoke(["doctor", "--data-dir", join(folder, "empty")]);
    expect(local).toMatchObject({ code: 2, stderr: expect.stringMatching(/no embedded database/) });
  });
});

describe("skein mcp", () => {
  it("refuses a group of tools that there is not, naming those there are", async () => {
    const { code, stdout, stderr } = await skein(["mcp", "--tools", "runs,walks"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/no group of tools "walks"; there are workflows, runs/);
  });
});

describe("skein test", () => {
  it("plays scenarios by pattern, as a table or as JSON", async () => {
    const table = await skein(["test", "--only", "idempotent-*"]);
    expect(table).toMatchObject({ code: 0, stderr: "" });
    expect(table.stdout).toMatch(/^✓ idempotent-submit +\d+ ms .*\nAll 1 scenarios passed at .*\.\n$/);
    const junit = join(folder, "report.xml");
    const json = await skein(["test", "--only", "idempotent-submit", "--json", "--junit", junit]);
    expect(await readFile(junit, "utf8")).toMatch(/tests="1" failures="0" skipped="0".*\n.*name="idempotent-submit: /);
    expect(JSON.parse(json.stdout)).toMatchObject({ passed: 1, failed: 0 });
  });

  it("lists them without a server", async () => {
    const { code, stdout } = await invoke(["test", "--list", "--server", "http://127.0.0.1:1"]);
    expect([code, stdout.split("\n")[0]]).toEqual([0, expect.stringMatching(/^hello-diamond +A diamond of four/)]);
  });

  it("says in a terminal what goes on, in one line that is gone in the end", async () => {
    const { stdout, stderr } = await skein(["test", "--only", "idempotent-*"], {
      terminal: { columns: 40, rows: 24 },
    });
    const told = stderr.split(`\r${ESCAPE}[2K`).map(stripVTControlCharacters);
    expect(told).toContain("0/1 · idempotent-submit: submit the sam");
    expect(told.at(-1)).toBe("");
    expect(stdout).toMatch(/^✓ /);
  });

  it("exits with 2 for a scenario that there is not", async () => {
    expect(await skein(["test", "--only", "x"])).toMatchObject({ code: 2, stdout: "" });
  });
});

describe("skein", () => {
  it("exits with 3 when nobody answers", async () => {
    const { code, stderr } = await invoke(["runs", "list", "--server", "http://127.0.0.1:1"]);
    expect([code, stderr]).toEqual([3, expect.stringMatching(/No answer from http:\/\/127\.0\.0\.1:1 /)]);
    expect(stderr).not.toContain(" at ");
  });

  it.each([
    [["rnu", "x"], /Did you mean run\?/],
    [["runs", "lst"], /Did you mean list\?/],
    [["run", "x", "--inptu", "a=1"], /Did you mean --inputs?\?/],
    [["runs", "list", "--limit", "many"], /whole number/],
    [["runs", "list", "--server", "localhost:80"], /not a server address/],
    [["import", "x"], /unknown command/],
  ])("%j is a mistake of usage, with a suggestion", async (args, words) => {
    expect(await invoke(args)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(words) });
  });

  it("helps", async () => {
    const { code, stdout } = await invoke(["run", "--help"]);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/--idempotency-key[\s\S]*Global Options:[\s\S]*--server/),
    ]);
  });
});

describe("skein retention and storage", () => {
  it("say what is kept and for how long, and how much there is", async () => {
    expect((await skein(["retention", "get"])).stdout).toMatch(/^There is no policy/);
    const set = await skein(["retention", "set", "--move-after", "1d", "--completed", "30d", "--conversations", "7d"]);
    expect(set.stdout).toMatch(
      /after 1d\.\nWHAT +KEPT\ncompleted +30d\nfailed +for ever\ncancelled +for ever\nconversations +7d\n$/,
    );
    expect((await skein(["retention", "remove"])).stdout).toMatch(/kept/);
    expect((await skein(["storage"])).stdout).toMatch(
      /^NAMESPACE.*\ndefault +hot +\d+ .*\ndefault +history +0 .*\n\n\d+ tables/,
    );
  });
});
