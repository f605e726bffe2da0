/** What a model reads of the tools: whole, short, and true. */
import { Client } from "@modelcontextprotocol/client";
import { InMemoryTransport } from "@modelcontextprotocol/server";
import { beforeAll, describe, expect, it } from "vitest";
import { errorTitles } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { isJsonObject } from "../core/json.ts";
import { buildMcpServer } from "./server.ts";
import { nextSteps } from "./tool-error.ts";
import { instructionsOf, readGroups, toolGroups, toolsOf } from "./toolsets.ts";

/** Characters: a model reads all of them before it does anything. */
const LONGEST_DESCRIPTION = 500;
const MOST_IN_ALL = 140_000;

interface Told {
  name: string;
  title?: string;
  description?: string;
  inputSchema: JsonObject;
  outputSchema?: JsonObject;
  annotations?: Record<string, boolean | string | undefined>;
}

describe("what a model is told", () => {
  let tools: Told[];

  beforeAll(async () => {
    const client = new Client({ name: "test", version: "1" });
    const [near, far] = InMemoryTransport.createLinkedPair();
    await buildMcpServer({ url: "http://127.0.0.1:1" }).connect(far);
    await client.connect(near);
    tools = (await client.listTools()).tools as unknown as Told[];
    await client.close();
  });

  it("says of every tool and of every argument what it is", () => {
    for (const { name, title, description = "", inputSchema } of tools) {
      expect(title, name).toBeTruthy();
      expect(description.length, name).toBeGreaterThan(40);
      expect(description.length, name).toBeLessThanOrEqual(LONGEST_DESCRIPTION);
      for (const [argument, schema] of Object.entries((inputSchema.properties ?? {}) as JsonObject)) {
        expect((schema as JsonObject).description, `${name}.${argument}`).toMatch(/\w/);
      }
    }
    const read = tools.map(({ name, description, inputSchema }) => JSON.stringify({ name, description, inputSchema }));
    expect(read.join("").length).toBeLessThan(MOST_IN_ALL);
  });

  it("has no two tools that are called the same", () => {
    expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length);
    expect(new Set(tools.map(({ title }) => title)).size).toBe(tools.length);
  });

  it("annotates every tool, and calls none read-only that is destructive", () => {
    for (const { name, annotations } of tools) {
      expect(Object.keys(annotations ?? {}).sort(), name).toEqual(
        ["destructiveHint", "idempotentHint", "openWorldHint", "readOnlyHint"].sort(),
      );
      if (annotations!.readOnlyHint)
        expect(annotations, name).toMatchObject({ destructiveHint: false, idempotentHint: true });
    }
  });

  it("names only tools, arguments and fields that there are", () => {
    const fields = new Set(
      tools.flatMap(({ inputSchema, outputSchema }) => namesIn([inputSchema, outputSchema ?? {}])),
    );
    const known = new Set([...tools.map(({ name }) => name), ...fields]);
    const texts = [
      instructionsOf(),
      ...Object.values(nextSteps),
      ...tools.flatMap(({ description, inputSchema, outputSchema }) => [
        description,
        ...descriptionsIn([inputSchema, outputSchema ?? {}]),
      ]),
    ];
    // Families of tools are written with a star, and values of enumerations and codes of errors are no names.
    const words = texts.flatMap((text) =>
      [...(text ?? "").matchAll(/(?<![\w@"'])[a-z]+(?:_[a-z]+)+(?![\w*"'])/g)].map(([word]) => word),
    );
    expect(words.length).toBeGreaterThan(100);
    expect([...new Set(words.filter((word) => !known.has(word)))].sort()).toEqual(notNames);
  });

  it("knows what to do about errors that there are, and names tools of its own there", () => {
    for (const code of Object.keys(nextSteps)) expect(Object.keys(errorTitles)).toContain(code);
  });
});

/** Written like names in what models read: a failure, a type of message, keys of workflows and of conversations. */
const notNames = [
  ...["executor_crash_loop", "flood_limit", "for_each", "max_strikes", "no_reply", "stop_after"],
  ...["turn_deadline", "work_deadline"],
];

describe("groups of tools", () => {
  it("are read from a list, and refused by name", () => {
    expect(readGroups("runs, work")).toEqual(["runs", "work"]);
    expect(() => readGroups("runs,walks")).toThrow(/"walks"; there are workflows, runs/);
    expect(() => readGroups("")).toThrow(/There is no group of tools ""/);
  });

  it("have each tool once, and together all of them", () => {
    const all = toolGroups.flatMap((group) => toolsOf([group]).map(({ name }) => name));
    expect(new Set(all).size).toBe(all.length);
    expect(toolsOf().map(({ name }) => name)).toEqual(all);
    expect(toolsOf(["runs", "workflows"])).toEqual(toolsOf(["workflows", "runs"]));
  });

  it("tell a model only of tools that it is offered", () => {
    for (const group of toolGroups) {
      const own = toolsOf([group]).map(({ name }) => name);
      const others = toolsOf()
        .map(({ name }) => name)
        .filter((name) => !own.includes(name));
      const told = instructionsOf([group]);
      expect(
        others.filter((name) => new RegExp(`\\b${name}\\b`).test(told)),
        group,
      ).toEqual([]);
    }
  });
});

/** Names of properties, and values of enumerations, at any depth. */
function namesIn(schema: Json): string[] {
  if (Array.isArray(schema)) return schema.flatMap(namesIn);
  if (!isJsonObject(schema)) return [];
  const named = isJsonObject(schema.properties) ? Object.keys(schema.properties) : [];
  const listed = Array.isArray(schema.enum) ? schema.enum.map(String) : [];
  return [...named, ...listed, ...Object.values(schema).flatMap(namesIn)];
}

function descriptionsIn(schema: Json): string[] {
  if (Array.isArray(schema)) return schema.flatMap(descriptionsIn);
  if (!isJsonObject(schema)) return [];
  const own = typeof schema.description === "string" ? [schema.description] : [];
  return [...own, ...Object.values(schema).flatMap(descriptionsIn)];
}
