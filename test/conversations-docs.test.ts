/** docs/conversations.md says what the code does. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { refusalCodes } from "../core/conversation/manners.ts";
import { MAX_BODY_BYTES } from "../core/conversation/message.ts";
import { defaultTerms, MAX_MEMBERS, MAX_ROUNDS, MAX_TOPIC_BYTES } from "../core/conversation/parameters.ts";
import { protocolNames } from "../core/conversation/state.ts";
import { conversationSchema, conversationSchemas, protocols, readConversation } from "../core/conversation.ts";
import { conversationFailures, errorTitles } from "../core/errors.ts";
import { formatCount } from "../core/limits.ts";

const text = readFileSync(join(dirname(import.meta.dirname), "docs", "conversations.md"), "utf8");
const prose = text.replace(/\s+/g, " ");
const sections = new Map(
  text
    .split(/^## /m)
    .map((section) => [section.split("\n")[0]!.match(/`(.+)`/)?.[1] ?? section.split("\n")[0], section]),
);

/** The members of every object in a JSON Schema, at any depth. */
function fieldsIn(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, child]) => [
    ...(key === "properties" ? Object.keys(child as object) : []),
    ...fieldsIn(child),
  ]);
}

const fieldsOf = (schema: z.ZodType) => fieldsIn(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
/** Words in code. */
const inCode = (section: string) => {
  const inline = section.replace(/^```.*?^```$/gms, "").match(/`[^`\n]+`/g)!;
  return new Set(inline.join(" ").match(/[a-z_]+/g));
};

describe("docs/conversations.md", () => {
  it.each(protocolNames)("has the parameters, messages and failures of %s in its section", (name) => {
    const section = sections.get(name)!;
    const words = inCode(section);
    const { options, messages } = protocols[name];
    const bodies = Object.entries(messages).flatMap(([type, { body }]) => [type, ...fieldsOf(body)]);
    expect([...Object.keys(options), ...bodies].filter((word) => !words.has(word))).toEqual([]);
  });

  it("has every failure, and every refusal with its code", () => {
    expect(Object.keys(conversationFailures).filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
    const codes = [...Object.values(refusalCodes), "CONVERSATION_INVALID"];
    expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
    const named = [...text.matchAll(/`(CONVERSATION_\w+)`/g)].map(([, code]) => code!);
    expect(named.filter((code) => !(code in errorTitles))).toEqual([]);
    for (const [reason, code] of Object.entries(refusalCodes)) {
      const row = text.split("\n").find((line) => line.startsWith(`| \`${reason}\``));
      expect(row).toContain(`\`${code}\``);
    }
  });

  it("has every parameter that all protocols take, and its default", () => {
    const words = inCode(text);
    expect(fieldsOf(conversationSchema).filter((word) => !words.has(word))).toEqual([]);
    const rowOf = (key: string) => text.split("\n").find((line) => line.startsWith(`| \`${key}\``))!;
    const { budget, ...others } = defaultTerms;
    for (const [key, value] of Object.entries(others))
      expect(rowOf(key)).toMatch(new RegExp(`\\| \`?${value}\`? +\\|`));
    expect(rowOf("budget")).toContain(
      `\`messages\` (${formatCount(budget.messages)}), \`bytes\` (${budget.bytes / 1_024 ** 2} MiB)`,
    );
    expect(rowOf("topic")).toContain(`up to ${MAX_TOPIC_BYTES / 1_024} KiB`);
    expect(rowOf("members")).toContain(`at most ${MAX_MEMBERS} and 16 KiB of names`);
    expect(rowOf("rounds")).toContain(`up to ${formatCount(MAX_ROUNDS)}`);
    expect(prose).toContain(`A body has at most ${MAX_BODY_BYTES / 1_024} KiB`);
  });

  it("names every role", () => {
    const roles = [...new Set(protocolNames.flatMap((name) => protocols[name].roles))].sort();
    expect(prose).toContain(`those that the protocols know: ${roles.map((role) => `\`${role}\``).join(", ")}.`);
    for (const name of protocolNames) {
      expect(protocols[name].roles.filter((role) => !sections.get(name)!.includes(`\`${role}\``))).toEqual([]);
    }
  });

  it("shows a conversation that can be held under any protocol", () => {
    const shown = JSON.parse(text.match(/```json\n(.*?)```/s)![1]!) as { protocol: string };
    for (const protocol of protocolNames) {
      expect(readConversation({ ...shown, protocol })).toMatchObject({ protocol });
      expect(Object.keys(conversationSchemas[protocol].shape)).toContain("protocol");
    }
  });
});
