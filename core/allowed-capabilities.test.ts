import { describe, expect, it } from "vitest";
import { forbiddenCapabilities, isAllowed } from "./allowed-capabilities.ts";

describe("a capability", () => {
  it.each([
    ["news.lead", null, true],
    ["news.lead", [], false],
    ["news.lead", ["news.lead"], true],
    ["news.lead@^2", ["news.lead"], true],
    ["news.lead", ["news.*"], true],
    ["news.lead.long", ["news.*"], true],
    ["news", ["news.*"], false],
    ["newsletter.send", ["news.*"], false],
    ["news.lead", ["core.echo", "http.*", "news.lead"], true],
    ["News.lead", ["news.*"], false],
    ["news.leads", ["news.lead"], false],
  ] as const)("%s where %j are allowed: %s", (capability, allowed, is) => {
    expect(isAllowed(capability, allowed)).toBe(is);
  });
});

describe("a definition", () => {
  const tasks = [
    { id: "a", capability: "core.echo" },
    { id: "b", capability: "shell.command@1", requires: ["core.echo", "email.send"] },
    { id: "c", capability: "core.echo", compensate: { capability: "sql.query" } },
    {
      id: "d",
      loop: {
        until: "true",
        max: 2,
        body: [{ id: "e", loop: { until: "true", max: 1, body: [{ id: "f", capability: "code.python" }] } }],
      },
    },
    { id: "g", wait: { for: "1s" } },
    { id: "h", workflow: "other" },
  ];

  it("is free where everything is allowed, and where it uses what is", () => {
    expect(forbiddenCapabilities(tasks, null)).toEqual([]);
    expect(forbiddenCapabilities(tasks, ["core.*", "shell.command", "email.*", "sql.query", "code.python"])).toEqual(
      [],
    );
  });

  it("is told of all that is not allowed, wherever it is used", () => {
    const issues = forbiddenCapabilities(tasks, ["core.echo"]);
    expect(issues.map(({ code, pointer }) => [code, pointer])).toEqual([
      ["CAPABILITY_NOT_ALLOWED", "/tasks/1/capability"],
      ["CAPABILITY_NOT_ALLOWED", "/tasks/1/requires/1"],
      ["CAPABILITY_NOT_ALLOWED", "/tasks/2/compensate/capability"],
      ["CAPABILITY_NOT_ALLOWED", "/tasks/3/loop/body/0/loop/body/0/capability"],
    ]);
    expect(issues[0]!.message).toContain(
      'Task "b" uses shell.command, which the key does not allow; it allows core.echo.',
    );
  });

  it("is told what was meant", () => {
    expect(forbiddenCapabilities([{ id: "a", capability: "core.eco" }], ["core.echo"])[0]!.message).toContain(
      "core.echo",
    );
  });
});
