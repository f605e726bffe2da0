/** The official conformance suite against `/mcp`, as `npm run test:mcp-conformance` runs it. Nothing is expected to fail. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";

const programs = inject("mcpPrograms");

/** How many scenarios of a server each revision asks for. */
const revisions = { "2026-07-28": 37, "2025-11-25": 30 };

interface Check {
  id: string;
  status: string;
  errorMessage?: string;
}

describe.skipIf(!programs)("the official MCP conformance suite", () => {
  let embedded: Embedded;
  let results: string;

  beforeAll(async () => {
    const config = loadConfig({ PORT: "0", SKEIN_MCP_FIXTURES: "1" });
    embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
    results = mkdtempSync(join(tmpdir(), "skein-mcp-conformance-"));
  });

  afterAll(async () => {
    await embedded?.stop();
    if (results) rmSync(results, { recursive: true });
  });

  it.each(Object.entries(revisions))("passes every server scenario of %s: %i", async (revision, count) => {
    const required = requiredBy(revision);
    expect(required).toHaveLength(count);
    const folder = join(results, revision);
    const said = await runSuite(embedded.url, revision, folder);

    const checks = checksIn(folder);
    expect([...checks.keys()], said).toEqual(expect.arrayContaining(required));
    for (const scenario of required) {
      const flaws = checks.get(scenario)!.filter(({ status }) => status === "FAILURE" || status === "WARNING");
      expect(flaws, scenario).toEqual([]);
      expect(
        checks.get(scenario)!.map(({ status }) => status),
        scenario,
      ).toContain("SUCCESS");
    }
  });
});

function requiredBy(revision: string): string[] {
  const file = join(dirname(dirname(programs!.conformance)), "requirements", `${revision}.yaml`);
  return (parse(readFileSync(file, "utf8")) as { server: string[] }).server;
}

/** @returns what it printed; its exit code only counts what is required, which we look at ourselves */
function runSuite(url: string, revision: string, folder: string): Promise<string> {
  const args = [programs!.conformance, "server", "--url", `${url}/mcp`, "--requirements", revision, "-o", folder];
  return new Promise((resolve) => {
    execFile(programs!.node, args, { maxBuffer: 64 * 1024 * 1024 }, (_error, stdout, stderr) =>
      resolve(`${stdout}${stderr}`.slice(-4_000)),
    );
  });
}

/** `server-<scenario>-<time>/checks.json` of each scenario. */
function checksIn(folder: string): Map<string, Check[]> {
  const found = readdirSync(folder).map((name): [string, Check[]] => {
    const [, scenario = name] = /^server-(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z$/.exec(name) ?? [];
    return [scenario, JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8")) as Check[]];
  });
  return new Map(found);
}
