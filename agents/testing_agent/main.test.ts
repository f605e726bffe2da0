import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { equal } from "./expect.ts";
import { runTestingAgent } from "./main.ts";
import { play, type Scenario, TEST_LABEL } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

function collect() {
  const lines: string[] = [];
  return { lines, log: (line: string) => lines.push(line) };
}

describe("the testing agent at a healthy deployment", () => {
  let embedded: Embedded;

  beforeAll(async () => {
    const config = loadConfig({ PORT: "0" });
    embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
  });

  afterAll(async () => {
    await embedded?.stop();
  });

  it("passes every scenario, twice in a row, and leaves nothing running", { timeout: 120_000 }, async () => {
    for (let round = 0; round < 2; round++) {
      const { lines, log } = collect();
      const report = await runTestingAgent({ url: embedded.url, log });
      expect(report.results.filter(({ failure }) => failure)).toEqual([]);
      expect(report).toMatchObject({ passed: scenarios.length, failed: 0 });
      expect(lines).toHaveLength(scenarios.length + 1);
      expect(lines[0]).toMatch(/^✓ hello-diamond +\d+ ms {2}A diamond/);
      expect(lines.at(-1)).toContain(`All ${scenarios.length} scenarios passed`);
    }
    const client = createClient({ url: embedded.url });
    expect((await client.runs.list({ status: "running" })).data).toEqual([]);
    const live = (await client.agents.list()).data.filter(({ status }) => status === "live");
    expect(live.map(({ kind }) => kind)).toEqual(["executor"]);
  });

  it("plays only the scenarios that are asked for, and reports them as JSON", async () => {
    const { lines, log } = collect();
    const report = await runTestingAgent({ url: embedded.url, only: ["bad-input", "pictures"], json: true, log });
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

  it("refuses a scenario that does not exist, naming those that do", async () => {
    const asked = runTestingAgent({ url: embedded.url, only: ["hello"], log: () => {} });
    await expect(asked).rejects.toMatchObject({
      code: "REQUEST_INVALID",
      message: expect.stringContaining("bad-input"),
    });
  });

  it("says what a failed scenario was doing, and cancels and leaves behind it", async () => {
    let runId = "";
    const failing: Scenario = {
      name: "failing",
      title: "Two is three",
      async play({ unique, submit, join, step }) {
        step("prepare");
        await join(unique);
        runId = (await submit({ definition: { name: "failing", tasks: [{ id: "a", capability: unique }] } })).id;
        step("compare");
        equal("the sum", { sum: 2 }, { sum: 3 });
      },
    };
    const result = await play(failing, { url: embedded.url });
    expect(result).toMatchObject({
      step: "compare",
      failure: { message: "Not as expected: the sum", expected: '{"sum":3}', actual: '{"sum":2}' },
    });
    const client = createClient({ url: embedded.url });
    const { labels, ending, status } = await client.runs.get(runId);
    expect(labels).toMatchObject({ [TEST_LABEL]: "failing" });
    expect(ending || status === "cancelled").toBe(true);
    const agents = (await client.agents.list()).data.filter(({ name }) => name.startsWith("failing-"));
    expect(agents.map((agent) => agent.status)).toEqual(["left"]);
  });

  it("ends a scenario at its deadline", async () => {
    const endless: Scenario = {
      name: "endless",
      title: "This never comes",
      deadlineMs: 100,
      play({ step }) {
        step("wait for work");
        return new Promise(() => {});
      },
    };
    const result = await play(endless, { url: embedded.url });
    expect(result).toMatchObject({ step: "wait for work", failure: { message: "It has not ended within 0.1 s." } });
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
    const report = await runTestingAgent({ url, log });
    expect(report).toMatchObject({ passed: 0, failed: scenarios.length });
    for (const { failure, step } of report.results) {
      expect(step).toBeTruthy();
      expect(JSON.stringify(failure)).toMatch(/out of order|INTERNAL/);
    }
    expect(lines[0]).toMatch(/^✗ hello-diamond/);
    expect(lines.join("\n")).toContain("    while     submit a diamond\n    failed    INTERNAL: ");
    expect(lines.at(-1)).toBe(`${scenarios.length} of ${scenarios.length} scenarios failed at ${url}.`);
  });

  it("does not begin where nobody answers", async () => {
    const asked = runTestingAgent({ url: "http://127.0.0.1:1", log: () => {} });
    await expect(asked).rejects.toMatchObject({ code: "SERVER_UNREACHABLE" });
  });
});
