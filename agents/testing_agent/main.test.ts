import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { defects, startDefective } from "./defects.suite.ts";
import { equal } from "./expect.ts";
import { listScenarios, runTestingAgent } from "./main.ts";
import { play, type Scenario, TEST_LABEL } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

const ADMIN_KEY = "an-admin-key-for-this-test";

function collect() {
  const lines: string[] = [];
  return { lines, log: (line: string) => lines.push(line) };
}

/** It waits for half a minute: played by `test/e2e/testing-agent.services.test.ts`. */
const isSlow = ({ name }: Scenario) => name === "agent-lost";
const quick = scenarios.filter((one) => !isSlow(one) && !one.needs).map(({ name }) => name);
const needing = scenarios.filter(({ needs }) => needs).map(({ name }) => name);

let embedded: Embedded;
/** What docs/testing-agent.md asks for, and no more. */
const scopes = ["runs:read", "runs:write", "work", "memory", "messages"] as const;
let apiKey: string;
const client = () => createClient({ url: embedded.url, apiKey });
const connection = () => ({ url: embedded.url, apiKey });

beforeAll(async () => {
  const config = loadConfig({ PORT: "0", HOST: "0.0.0.0", SKEIN_ADMIN_KEY: ADMIN_KEY });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
  const admin = createClient({ url: embedded.url, apiKey: ADMIN_KEY });
  apiKey = (await admin.keys.create({ name: "testing", scopes: [...scopes] })).key;
});

afterAll(async () => {
  await embedded?.stop();
});

describe("the testing agent at a healthy deployment", () => {
  it("passes its scenarios, and leaves nothing but history", { timeout: 120_000 }, async () => {
    const { lines, log } = collect();
    const report = await runTestingAgent({ ...connection(), only: quick, log });
    expect(report.results.filter(({ failure }) => failure)).toEqual([]);
    expect(report).toMatchObject({ passed: quick.length, failed: 0 });
    expect(lines).toHaveLength(quick.length + 1);
    expect(lines[0]).toMatch(/^✓ hello-diamond +\d+ ms {2}A diamond/);
    expect(lines.at(-1)).toContain(`All ${quick.length} scenarios passed`);
    for (const status of ["running", "paused"]) expect((await client().runs.list({ status })).data).toEqual([]);
    const agents = (await client().agents.list({ limit: 1_000 })).data;
    expect(agents.filter(({ status }) => status === "live").map(({ kind }) => kind)).toEqual(["executor"]);
    const names = agents.filter(({ kind }) => kind === "external").map(({ name }) => name);
    expect(names.length).toBeGreaterThan(quick.length);
    for (const name of names) expect([name, await belongingsOf(name)]).toEqual([name, []]);
  });

  it("plays what needs more than others where the key may do it, and else says that it has not", async () => {
    const [allowed, not] = [collect(), collect()];
    const admin = { url: embedded.url, apiKey: ADMIN_KEY };
    const played = await runTestingAgent({ ...admin, only: needing, log: allowed.log });
    expect(played.results.filter(({ failure }) => failure)).toEqual([]);
    expect(played).toMatchObject({ passed: needing.length, failed: 0, skipped: 0 });
    const only = [...needing, "pictures"];
    expect(await runTestingAgent({ ...connection(), only, log: not.log })).toMatchObject({
      passed: 1,
      failed: 0,
      skipped: needing.length,
    });
    expect(not.lines.join("\n")).toMatch(/^- wide-limits +skipped .*: it needs a key with the scope admin$/m);
    expect(not.lines.at(-1)).toBe(`All 1 scenarios passed at ${embedded.url}. ${needing.length} skipped.`);
  });

  it("plays only the scenarios that are asked for, and reports them as JSON", async () => {
    const { lines, log } = collect();
    const report = await runTestingAgent({ ...connection(), only: ["bad-*", "pictures"], json: true, log });
    expect(report.results.filter(({ failure }) => failure)).toEqual([]);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      url: embedded.url,
      passed: 2,
      failed: 0,
      results: [
        { name: "bad-input", status: "passed", duration_ms: expect.any(Number) },
        { name: "pictures", status: "passed" },
      ],
    });
  });

  it("ends when it is interrupted, and sweeps behind it", async () => {
    const stop = new AbortController();
    const { lines, log } = collect();
    const only = ["pictures", "agent-lost"];
    const asked = runTestingAgent({ ...connection(), only, log, interrupt: stop.signal });
    const statuses = async () =>
      (await client().agents.list()).data.filter(({ name }) => name.endsWith("agent-lost")).map(({ status }) => status);
    await expect.poll(statuses, { timeout: 10_000 }).toEqual(["live"]);
    stop.abort();
    const report = await asked;
    expect(report.results.at(-1)).toMatchObject({ name: "agent-lost", failure: { message: "It was interrupted." } });
    expect(lines.at(-1)).toMatch(/ of \d scenarios failed /);
    expect(await statuses()).toEqual(["left"]);
  });

  it("is described in docs/testing-agent.md, scenario by scenario", () => {
    const text = readFileSync(new URL("../../docs/testing-agent.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| \[(.+?)\]\((.+?)\) +\| (.+?) +\|$/gm)].map(([, ...cells]) => cells);
    expect(rows).toEqual(
      scenarios.map(({ name, title }) => [name, `../agents/testing_agent/scenarios/${name}.ts`, title]),
    );
    expect(text).toContain(`1 of ${scenarios.length} scenarios failed`);
    for (const scope of scopes) expect(text).toContain(`\`${scope}\``);
  });

  it("tells what goes on, and in the end takes it back", async () => {
    const told: (string | undefined)[] = [];
    const progress = (line: string | undefined) => told.push(line);
    await runTestingAgent({ ...connection(), only: ["pictures"], log: () => {}, progress });
    expect(told[0]).toBe("0/1 · pictures: run two tasks");
    expect(told).toContain("0/1 · pictures: draw the timeline as svg");
    expect(told.at(-1)).toBeUndefined();
  });

  it("refuses a scenario that does not exist, naming those that do", async () => {
    for (const only of ["hello", "*-hello", ".*"]) {
      const asked = runTestingAgent({ ...connection(), only: [only], log: () => {} });
      await expect(asked).rejects.toMatchObject({
        code: "REQUEST_INVALID",
        message: expect.stringContaining("bad-input"),
      });
    }
  });

  it("lists scenarios without asking anybody", () => {
    const { lines, log } = collect();
    listScenarios({ only: ["message-*"], log });
    expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual([
      "message-direct",
      "message-topic",
      "message-broadcast",
    ]);
    const json = collect();
    listScenarios({ json: true, log: json.log });
    expect(JSON.parse(json.lines.join("\n"))).toHaveLength(scenarios.length);
  });
});

/** What a name has, of all that can belong to one. */
async function belongingsOf(name: string): Promise<unknown[]> {
  const data = client().agentData(name);
  const found = await Promise.all([
    data.state.read().catch(() => []),
    data.working.read().catch(() => []),
    data.memory.list().then((page) => page.data),
    // What was said to all while an agent left is gone half a minute later.
    data.inbox.read().then(({ messages }) => messages.filter(({ to }) => Object(to).broadcast !== true)),
    data.subscriptions.list().then((page) => page.data),
    // Scopes are called as agents are.
    client()
      .memory(name.replace(/-(ann|bob)$/, ""))
      .list()
      .then((page) => page.data),
  ]);
  return found.flat();
}

describe("a scenario that fails", () => {
  it("says what it was doing, what it expected, and with which requests", async () => {
    let runId = "";
    const failing: Scenario = {
      name: "failing",
      title: "Two is three",
      async play({ client, unique, submit, join, claim, report, step }) {
        step("prepare");
        const agent = await join(unique);
        const definition = { name: "failing", tasks: [{ id: "a", capability: unique, input: "it's" }] };
        runId = (await submit({ definition })).id;
        step("compare");
        const lease = await claim(agent);
        await client.runs.get(runId);
        await client.runs.get(runId);
        await report(agent, { ...lease, outcome: "completed" } as never).catch(() => {});
        equal(`the sum of ${lease.lease_token}`, { sum: lease.lease_token }, { sum: agent.authorization });
      },
    };
    const result = await play(failing, connection());
    const base = embedded.url;
    expect(result).toMatchObject({
      step: "compare",
      failure: {
        message: "Not as expected: the sum of $LEASE_TOKEN",
        expected: '{"sum":{"authorization":"Bearer $AGENT_TOKEN"}}',
        actual: '{"sum":"$LEASE_TOKEN"}',
      },
    });
    expect(result.requests).toEqual([
      expect.stringMatching(
        `^curl -X POST '${base}/v1/tasks/claim' -H "authorization: Bearer \\$AGENT_TOKEN" -H 'content-type: application/json' -d '{.*}'  # 200$`,
      ),
      `curl '${base}/v1/runs/${runId}' -H "authorization: Bearer $SKEIN_API_KEY"  # 200, 2 times`,
      expect.stringMatching(/"lease_token":"'"\$LEASE_TOKEN"'",.*"input":"it'\\''s".*# 400 REQUEST_INVALID$/),
    ]);
    const { labels, ending, status } = await client().runs.get(runId);
    expect(labels).toMatchObject({ [TEST_LABEL]: "failing" });
    expect(ending || status === "cancelled").toBe(true);
    const agents = (await client().agents.list()).data.filter(({ name }) => name.endsWith("-failing"));
    expect(agents.map((agent) => agent.status)).toEqual(["left"]);
  });

  it("ends at its deadline", async () => {
    const endless: Scenario = {
      name: "endless",
      title: "This never comes",
      deadlineMs: 100,
      play({ step }) {
        step("wait for work");
        return new Promise(() => {});
      },
    };
    const result = await play(endless, connection());
    expect(result).toMatchObject({ step: "wait for work", failure: { message: "It has not ended within 0.1 s." } });
  });
});

describe.concurrent("a deployment with a defect", { timeout: 60_000 }, () => {
  /** What does not come is waited for so long. */
  const PATIENCE_MS = 3_000;

  /** Ends a scenario some time after it has come to the step at which it waits in vain. */
  function playUntil(scenario: Scenario, url: string, waitedAt: string | undefined) {
    const enough = new AbortController();
    const onStep = (step: string) => step === waitedAt && setTimeout(() => enough.abort(), PATIENCE_MS);
    const key = scenario.needs ? ADMIN_KEY : apiKey;
    return play(scenario, { url, apiKey: key }, { onStep, interrupt: enough.signal });
  }

  it.each(defects)("that $what is found out", async ({ noticedBy, waitedAtBy = {}, ...defect }) => {
    const { url, close } = await startDefective(embedded.url, defect);
    try {
      const results = await Promise.all(
        scenarios
          .filter(({ name }) => noticedBy.includes(name) || name in waitedAtBy)
          .map((one) => playUntil(one, url, waitedAtBy[one.name])),
      );
      const passed = results.filter(({ failure }) => !failure).map(({ name }) => name);
      expect(passed).toEqual([]);
      const late = results.filter(({ failure }) => /^It (was interrupted|has not ended)/.test(failure?.message ?? ""));
      expect(Object.fromEntries(late.map(({ name, step }) => [name, step]))).toEqual(waitedAtBy);
      for (const { requests } of results) expect(requests!.join("\n")).toContain(`curl`);
      const told = JSON.stringify(results);
      for (const key of [apiKey, ADMIN_KEY]) expect(told).not.toContain(key);
      expect(told).not.toMatch(/ska_|skk_/);
    } finally {
      await close();
    }
  });

  it("is what every scenario finds out: none passes whatever happens", () => {
    const finding = defects.flatMap(({ noticedBy, waitedAtBy = {} }) => [...noticedBy, ...Object.keys(waitedAtBy)]);
    expect([...new Set(finding)].sort()).toEqual(scenarios.map(({ name }) => name).sort());
  });
});

describe("the testing agent at a broken deployment", () => {
  let server: Server | undefined;

  afterAll(() => {
    server?.close();
  });

  it("fails every scenario of a server that answers 500, in the table and in the report", async () => {
    server = createServer((_request, response) => response.writeHead(500).end("out of order"));
    await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { lines, log } = collect();
    // Streams are tried again for some time.
    const only = quick.filter((name) => name !== "registry-watched");
    const report = await runTestingAgent({ url, only, log });
    expect(report).toMatchObject({ passed: 0, failed: only.length });
    for (const { failure, step } of report.results) {
      expect(step).toBeTruthy();
      expect(JSON.stringify(failure)).toMatch(/out of order|INTERNAL|JSON|HTTP 500/);
    }
    expect(lines[0]).toMatch(/^✗ hello-diamond/);
    expect(lines.join("\n")).toContain("    while     submit a diamond\n    failed    INTERNAL: ");
    expect(lines.at(-1)).toBe(`${only.length} of ${only.length} scenarios failed at ${url}: ${only.join(", ")}.`);
  });

  it("does not begin where nobody answers", async () => {
    const asked = runTestingAgent({ url: "http://127.0.0.1:1", log: () => {} });
    await expect(asked).rejects.toMatchObject({ code: "SERVER_UNREACHABLE" });
  });
});
