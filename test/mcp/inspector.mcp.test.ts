/**
 * The official MCP Inspector against `/mcp`, as `npm run test:mcp-inspector` runs it: it lists every tool and calls every one.
 * `SKEIN_MCP_TRANSCRIPT=<file>` keeps what it printed.
 */
import { writeFileSync } from "node:fs";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { shout } from "../../mcp/tools.suite.ts";
import { createClient } from "../../sdk/client.ts";
import { inspectEveryTool } from "./inspector.ts";

const programs = inject("mcpPrograms");

describe.skipIf(!programs)("the official MCP Inspector", () => {
  let embedded: Embedded;

  beforeAll(async () => {
    const config = loadConfig({ PORT: "0" });
    const logger = pino({ level: "silent" });
    embedded = await startEmbedded({ config, logger, inMemory: true, executors: [shout] });
    const tasks = [{ id: "say", capability: "core.echo", input: "honk" }];
    await createClient({ url: embedded.url }).workflows.register({ name: "inspected", tasks });
  });

  afterAll(async () => {
    await embedded?.stop();
  });

  // Some 120 processes, one after the other: 50 s on two idle cores.
  it("lists every tool in both eras, and calls every one", { timeout: 300_000 }, async () => {
    const lines: string[] = [];
    try {
      const say = (line: string) => lines.push(line);
      const { listed, called } = await inspectEveryTool({ programs: programs!, url: embedded.url, say });
      expect(listed.modern).toEqual(listed.legacy);
      expect(listed.modern.length).toBeGreaterThan(0);
      expect(called.sort()).toEqual([...listed.modern].sort());
    } finally {
      const file = process.env.SKEIN_MCP_TRANSCRIPT;
      if (file) writeFileSync(file, `${lines.join("\n")}\n`);
    }
  });
});
