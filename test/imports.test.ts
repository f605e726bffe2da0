/** Who may import whom: the architecture's arrows, kept. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { describe, expect, it } from "vitest";

/** From a folder to the others it may import. A file of the top level counts as a folder of its name: "config", "version". */
const allowedFolders: Record<string, string[]> = {
  core: [],
  config: ["core"],
  version: [],
  store: ["core"],
  transport: ["core"],
  memory: ["core"],
  sdk: ["core", "version"],
  api: ["core", "store", "memory", "version"],
  mcp: ["core", "sdk", "version"],
  cli: ["core", "sdk", "config", "version"],
  agents: ["core", "transport"],
  "agents/orchestrator_agent": ["core", "store", "transport", "memory", "agents", "version"],
  "agents/executor_agents": ["core", "sdk", "transport", "agents", "version"],
  "agents/testing_agent": ["core", "sdk", "agents", "version"],
};

/**
 * Only core is limited in its packages: it stays free of I/O. Of node:crypto it uses hashes; of croner when a cron expression fires
 * after a time that it is told, never its timers.
 */
const corePackages = ["zod", "@marcbachmann/cel-js", "yaml", "ajv", "ajv-formats", "semver", "croner", "node:crypto"];

/** A file named like its folder is its port. The rest are adapters, and only those below choose one. */
const ports = ["store", "transport", "memory"];
const choosesAdapters = /^(agents\/\w+\/(main|doctor)|mcp\/main|embedded|index)\.ts$|\.(test|suite)\.ts$/;

/** A command of the CLI that starts a process imports it when it is asked to, so that the others start fast. */
const startsProcess = (file: string, target: string, isDynamic: boolean) =>
  isDynamic && file.startsWith("cli/") && /(^|\/)(main|doctor|embedded)\.ts$/.test(target);

interface Import {
  specifier: string;
  line: number;
  isDynamic: boolean;
}

function importsIn(text: string): Import[] {
  const found = (pattern: RegExp, isDynamic: boolean) =>
    [...text.matchAll(pattern)].map((match) => {
      const line = text.slice(0, match.index + match[0].length).split("\n").length;
      return { specifier: match[1] as string, line, isDynamic };
    });
  return [
    ...found(/^(?:import|export)\s(?:[\w\s{},*$]*\sfrom\s)?\s*["']([^"'\n]+)["']/gm, false),
    ...found(/\bimport\(\s*["']([^"'\n]+)["']/g, true),
  ];
}

/** "agents/executor_agents/http/request.ts" → "agents/executor_agents", "config.ts" → "config" */
function folderOf(file: string): string {
  const [first = "", second = "", ...deeper] = file.replace(/\.[jt]s$/, "").split("/");
  return first === "agents" && deeper.length > 0 ? `${first}/${second}` : first;
}

function packageOf(specifier: string): string {
  return specifier.startsWith("@") ? specifier.split("/", 2).join("/") : (specifier.split("/")[0] as string);
}

/** @returns the rule that this import breaks */
function brokenRule(file: string, { specifier, isDynamic }: Import): string | undefined {
  const folder = folderOf(file);
  const allowed = allowedFolders[folder];
  if (choosesAdapters.test(file)) return undefined;
  if (!allowed) return `"${folder}" is not in the table of this test: say what it may import`;
  if (!specifier.startsWith(".")) {
    const isFine = folder !== "core" || corePackages.includes(packageOf(specifier));
    return isFine ? undefined : `core imports no packages but ${corePackages.join(", ")}`;
  }
  const target = posix.join(posix.dirname(file), specifier);
  const targetFolder = folderOf(target);
  if (targetFolder === folder || startsProcess(file, target, isDynamic)) return undefined;
  if (!allowed.includes(targetFolder)) return `${folder} imports only ${allowed.join(", ") || "itself"}`;
  const port = `${targetFolder}/${targetFolder}.ts`;
  if (ports.includes(targetFolder) && target !== port)
    return `only ${port} is imported from outside; the rest is adapters`;
  return undefined;
}

/** One line per broken rule, as `file:line imports "x": rule`. */
function violations(file: string, text: string): string[] {
  return importsIn(text).flatMap((found) => {
    const rule = brokenRule(file, found);
    return rule ? [`${file}:${found.line} imports "${found.specifier}": ${rule}`] : [];
  });
}

const root = dirname(import.meta.dirname);
const notSources =
  /^(\.|node_modules$|dist$|test$|bench$|scripts$|examples$|docs$|project_logs$|coverage$|vitest\.config)/;

function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (notSources.test(entry.name)) return [];
    if (entry.isDirectory()) return sourcesIn(path);
    return /\.[jt]s$/.test(entry.name) ? [path] : [];
  });
}

describe("imports", () => {
  it("go only where the architecture has an arrow", () => {
    const files = sourcesIn("");
    const broken = files.flatMap((file) => violations(file, readFileSync(join(root, file), "utf8")));
    expect(broken).toEqual([]);
    // A scan that finds nothing to scan would pass, too.
    expect(files.length).toBeGreaterThan(60);
    expect(files).toContain("core/errors.ts");
  });

  it.each([
    ["core/run.ts", 'import pg from "pg";'],
    ["core/run.ts", 'import { readFile } from "node:fs/promises";'],
    ["core/run.ts", 'import type { Store } from "../store/store.ts";'],
    ["store/postgres.ts", 'export { connect } from "../transport/transport.ts";'],
    ["sdk/client.ts", 'import "../api/server.ts";'],
    ["api/routes/runs.ts", 'import {\n  type A,\n  b as c,\n} from "../../transport/transport.ts";'],
    ["api/routes/runs.ts", 'import { pool } from "../../store/postgres.ts";'],
    ["cli/run.ts", 'import { startEmbedded } from "../embedded.ts";'],
    ["cli/run.ts", 'const store = await import("../store/store.ts");'],
    ["agents/executor_agents/http/request.ts", 'import { claim } from "../../../store/store.ts";'],
    ["agents/testing_agent/scenario.ts", 'import { run } from "../orchestrator_agent/orchestrator.ts";'],
    ["new-folder/x.ts", 'import "../core/run.ts";'],
  ])("of %s that break a rule are found: %s", (file, text) => {
    const line = text.split("\n").length;
    expect(violations(file, text)).toEqual([expect.stringMatching(`^${file}:${line} imports "`)]);
  });

  it.each([
    ["core/run.ts", 'import { z } from "zod";\nimport { SkeinError } from "./errors.ts";'],
    ["api/server.ts", 'import fastify from "fastify";\nimport type { Store } from "../store/store.ts";'],
    ["cli/dev.ts", 'const { startEmbedded } = await import("../embedded.ts");'],
    ["agents/executor_agents/main.ts", 'import { connect } from "../../transport/rabbitmq.ts";'],
    ["store/postgres.test.ts", 'import { startServices } from "../test/services.ts";'],
    ["core/run.ts", 'export function explain() {\n  return `taken from "pg"`;\n}'],
  ])("of %s that keep the rules are not: %s", (file, text) => {
    expect(violations(file, text)).toEqual([]);
  });
});
