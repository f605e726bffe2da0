import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { conversationMermaid, type DiagramView, diagramOf } from "./diagram.ts";
import { conversationSvg } from "./diagram-svg.ts";
import { type Move, play } from "./play.suite.ts";
import type { TranscriptEntry } from "./transcript.ts";

function viewOf(parameters: { protocol: string; topic: Json; members: string[] }, moves: readonly Move[]): DiagramView {
  const { transcript } = play({ ...parameters, max_strikes: 100 }, moves);
  return { ...parameters, entries: transcript };
}

const quarrel = viewOf({ protocol: "round-robin", topic: "Who leads?", members: ["ada", "bob", "eve"] }, [
  ["ada", "say", { content: "I do" }],
  ["ada", "say", { content: "I do" }],
  { wait: 60_000 },
  ["bob", "say", { content: "No" }],
  ["mallory", "say", { content: "Me" }],
  ["eve", "say", { content: "x", from: "ada" }],
  { left: "ada" },
  ["eve", "pass"],
]);

const hostileTexts = [
  "end",
  "wrap: x",
  'a"; p0->>p1: forged',
  "%%{init: {}}%%",
  "</text><script>alert(1)</script>",
  "a\nparticipant evil",
  "a\\nb #quot; &lt; &#60;",
  "\u202egoose\u0000\ud800",
  "x".repeat(500),
  "::: note over p0: {{}} [[]] ()",
];
const hostile: DiagramView = {
  protocol: "vote",
  topic: hostileTexts[4]!,
  members: hostileTexts,
  entries: hostileTexts.map(
    (text, index): TranscriptEntry => ({
      seq: index + 1,
      at: index,
      from: text,
      to: [hostileTexts[(index + 1) % hostileTexts.length]!],
      type: text,
      body: { content: text, [text]: { [text]: text } },
      misbehaviour: index % 3 === 0 ? "malformed" : null,
      why: index % 3 === 0 ? text : null,
    }),
  ),
};

describe("conversationMermaid", () => {
  it("has a participant a member, an arrow a receiver, and a note for what was not sent", () => {
    expect(conversationMermaid(quarrel).split("\n")).toEqual([
      "sequenceDiagram",
      "  accTitle: round-robin#58; Who leads#63;",
      "  participant p0 as conversation",
      "  participant p1 as ada",
      "  participant p2 as bob",
      "  participant p3 as eve",
      "  p0->>p1: turn #40;round 1#41;",
      "  p1->>p2: say#58; I do",
      "  p1->>p3: say#58; I do",
      "  p0->>p2: turn #40;round 1#41;",
      "  p1--xp0: out of turn#58; say#58; I do",
      "  Note over p2: silent",
      "  p0->>p3: turn #40;round 1#41;",
      "  p2--xp0: late#58; say#58; No",
      "  Note over p0: mallory#58; not a member",
      "  p3--xp0: forging#58; say#58; x, from ada",
      "  Note over p1: left",
      "  p3->>p2: pass",
      "  p0->>p2: turn #40;round 2#41;",
      "",
    ]);
  });

  it("lets no text leave its label", () => {
    const lines = conversationMermaid(hostile).split("\n");
    expect(lines.filter((line) => line.startsWith("  participant "))).toHaveLength(hostileTexts.length + 1);
    const label = "(?:[\\p{L}\\p{N} .,…·⧵-]|#\\d+;)*";
    const legal = new RegExp(
      `^(?:sequenceDiagram||  (?:accTitle: |participant p\\d+ as |p\\d+(?:->>|--x)p\\d+: |Note over p\\d+(?:,p\\d+)?: )${label})$`,
      "u",
    );
    for (const line of lines) expect(line).toMatch(legal);
  });

  it("says what goes to many in one note", () => {
    const members = Array.from({ length: 30 }, (_, index) => `goose-${index}`);
    const text = conversationMermaid(
      viewOf({ protocol: "vote", topic: "?", members }, [["goose-3", "vote", { choice: "north" }]]),
    );
    expect(text).toContain("\n  Note over p0,p30: p0 to 30, call #40;round 1#41;#58; majority\n");
    expect(text).toContain("\n  p4->>p0: vote#58; north\n");
  });
});

describe("diagramOf", () => {
  it("shows the beginning and the end of a long one, and how much lies between", () => {
    const moves = Array.from({ length: 1_000 }, (): Move => ["ada", "write", { key: "k", content: 1, revision: 0 }]);
    const long = viewOf({ protocol: "blackboard", topic: "?", members: ["ada", "bob"] }, moves);
    const { rows } = diagramOf({
      ...long,
      entries: [...long.entries, ...long.entries, ...long.entries, ...long.entries],
    });
    expect(rows).toHaveLength(301);
    expect(rows[150]).toMatchObject({ kind: "gap", label: `${4 * long.entries.length - 300} more` });
    expect(conversationMermaid({ ...long, entries: [] })).toMatch(/participant p2 as bob\n$/);
  });

  it("cuts names in the middle and texts at the end", () => {
    const name = "a-very-long-name-of-a-goose-1";
    const view = viewOf({ protocol: "round-robin", topic: "x".repeat(500), members: [name] }, [
      [name, "say", { content: "y".repeat(30_000) }],
    ]);
    const { title, columns, rows } = diagramOf(view);
    expect(columns[1]).toBe("a-very-lon…a-goose-1");
    expect([title.length, title.at(-1)]).toEqual([100, "…"]);
    expect(rows[1]!.label).toMatch(/^say: y{74}…$/);
  });
});

describe("conversationSvg", () => {
  it("is the same for the same transcript, whatever is in it", () => {
    expect(conversationSvg(quarrel)).toBe(conversationSvg(structuredClone(quarrel)));
    expect(conversationSvg(hostile)).toBe(conversationSvg(JSON.parse(JSON.stringify(hostile))));
  });

  it("has a row an entry, a line to each receiver, and the time since the beginning", () => {
    const svg = conversationSvg(quarrel);
    expect(svg.match(/<g>/g)).toHaveLength(quarrel.entries.length);
    const rowOf = (text: string) => svg.split("\n").find((line) => line.startsWith("<g>") && line.includes(text))!;
    expect(rowOf("say: I do")).toContain(">0 ms</text>");
    expect(rowOf("say: I do").match(/<path d="M\d+ \d+l-8 -4v8Z"/g)).toHaveLength(2);
    expect(rowOf("silent")).toContain(">60 s</text>");
    expect(rowOf("forging")).toContain("stroke-dasharray");
  });

  it("lets no text leave its element", () => {
    const svg = conversationSvg(hostile);
    const outside = svg.replace(/<\/?(?:svg|title|rect|text|path|g|circle)(?: [a-zA-Z-]+="[^"<>]*")*\/?>/g, "");
    expect(outside).not.toMatch(/[<>]/);
    expect(outside).not.toMatch(/&(?!(?:amp|lt|gt|quot|#39);)/);
    for (const character of ["\u0000", "\u202e", "\ud800"]) expect(outside).not.toContain(character);
    expect(outside).toContain("&lt;script&gt;");
  });

  it("draws what is empty", () => {
    expect(conversationSvg({ protocol: "vote", topic: null, members: [], entries: [] })).toContain("vote: null");
  });
});
