/** mcp/README.md promises what there is, and all of it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { InMemoryTransport } from "@modelcontextprotocol/server";
import { beforeAll, describe, expect, it } from "vitest";
import { buildMcpServer } from "./server.ts";
import { toolGroups, toolsOf } from "./toolsets.ts";

const text = readFileSync(join(import.meta.dirname, "README.md"), "utf8");
/** The cells of each row that begins with a name in code. */
const rows = new Map(
  [...text.matchAll(/^\| `([^`]+)` +\|(.*)\|$/gm)].map(([, name, rest]) => [name!, rest!.split(/(?<!\\)\|/)]),
);
const wordsIn = (cell: string) => [...cell.matchAll(/`([\w]+)`/g)].map(([, word]) => word!);

describe("mcp/README.md", () => {
  const client = new Client({ name: "test", version: "1" });

  beforeAll(async () => {
    const [near, far] = InMemoryTransport.createLinkedPair();
    await buildMcpServer({ url: "http://127.0.0.1:1" }).connect(far);
    await client.connect(near);
  });

  it("has a row for every tool with all it takes, and none for others", async () => {
    const { tools } = await client.listTools();
    for (const { name, inputSchema } of tools) {
      const [takes = ""] = rows.get(name) ?? [];
      expect(rows.has(name), name).toBe(true);
      const required = inputSchema.required ?? [];
      for (const argument of Object.keys(inputSchema.properties ?? {})) {
        expect(wordsIn(takes), name).toContain(argument);
        const isOptional = takes.includes(`_\`${argument}\`_`);
        expect(isOptional, `${name}: ${argument} may be left out`).toBe(!required.includes(argument));
      }
    }
    const section = text.slice(text.indexOf("\n## Tools\n"), text.indexOf("\n## Resources"));
    const written = [...section.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name!);
    expect(written.length).toBe(tools.length);
    expect(written.filter((name) => !tools.some((tool) => tool.name === name))).toEqual([]);
  });

  it("has a row for every group of tools with how many it has", () => {
    const section = text.slice(text.indexOf("\n## Groups of tools\n"), text.indexOf("\n## Tools\n"));
    const written = [...section.matchAll(/^\| `(\w+)` +\| (\d+) +\|/gm)].map(([, group, count]) => [
      group,
      Number(count),
    ]);
    expect(written).toEqual(toolGroups.map((group) => [group, toolsOf([group]).length]));
  });

  it("names the destructive tools", async () => {
    const { tools } = await client.listTools();
    const line = /^All that only look.*$/m.exec(text)![0];
    const destructive = tools.filter(({ annotations }) => annotations?.destructiveHint).map(({ name }) => name);
    expect(wordsIn(line).sort()).toEqual(destructive.sort());
  });

  it("has every resource and every prompt with its arguments", async () => {
    const { resourceTemplates } = await client.listResourceTemplates();
    for (const { uriTemplate } of resourceTemplates) expect([...rows.keys()]).toContain(uriTemplate);
    const { prompts } = await client.listPrompts();
    for (const { name, arguments: taken = [] } of prompts) {
      expect(wordsIn(rows.get(name)?.[0] ?? "").sort(), name).toEqual(taken.map((one) => one.name).sort());
    }
  });

  it("says how the common clients are configured", () => {
    const headings = [...text.matchAll(/^\*\*([^*]+)\*\*/gm)].map(([, client]) => client);
    const clients = [
      "Claude Code",
      "Cursor",
      "VS Code",
      "Windsurf",
      "Zed",
      "Cline",
      "Gemini CLI",
      "Codex",
      "Claude Desktop",
    ];
    expect(headings).toEqual(expect.arrayContaining(clients));
  });

  it("has configurations that can be copied: valid JSON, each with the address of a door", () => {
    const blocks = [...text.matchAll(/^```json\n(.*?)^```$/gms)].map(([, block]) => block!);
    expect(blocks.length).toBeGreaterThan(4);
    for (const block of blocks) {
      const configuration = JSON.stringify(JSON.parse(block));
      expect(configuration).toMatch(/"http:\/\/127\.0\.0\.1:8080\/mcp"|"SKEIN_URL":"http:\/\/127\.0\.0\.1:8080"/);
      expect(configuration).toContain("<API key>");
    }
  });

  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)\)/g)].map(([, target]) => target!);
    const own = links.filter((target) => !/^https?:/.test(target));
    expect(own.length).toBeGreaterThan(5);
    expect(own.filter((target) => !existsSync(join(import.meta.dirname, target)))).toEqual([]);
  });
});
