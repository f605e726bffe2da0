import { describe, expect, it } from "vitest";
import { SkeinError } from "../core/errors.ts";
import { explain, FileError, UsageError } from "./problem.ts";

describe("what is said of an error", () => {
  it("is its sentence and its code", () => {
    expect(explain(new SkeinError("RUN_NOT_FOUND", "There is no run x."))).toEqual({
      text: "There is no run x. [RUN_NOT_FOUND]",
      exitCode: 2,
    });
  });

  it("of a file has a line for each issue, at file:line:column", () => {
    const issues = [
      { code: "WORKFLOW_KEY_UNKNOWN", message: "No such key.", pointer: "/x", line: 3, column: 5 },
      { code: "WORKFLOW_INVALID", message: "No tasks.", pointer: "/tasks" },
    ] as const;
    const error = new FileError("w.yaml", new SkeinError("WORKFLOW_INVALID", "No such key. (and 1 more)", { issues }));
    expect(explain(error)).toEqual({
      text: "w.yaml has 2 mistakes:\n  w.yaml:3:5 No such key. [WORKFLOW_KEY_UNKNOWN]\n  w.yaml#/tasks No tasks. [WORKFLOW_INVALID]",
      exitCode: 2,
    });
  });

  it("exits with 3 when trying again later may help", () => {
    const codes = ["SERVER_UNREACHABLE", "DATABASE_UNAVAILABLE", "DATA_DIR_LOCKED", "INTERNAL"] as const;
    for (const code of codes) expect(explain(new SkeinError(code, "x")).exitCode).toBe(3);
    expect(explain(new UsageError("x")).exitCode).toBe(2);
  });

  it("is distinguished from a run that failed when it is ours", () => {
    expect(explain(new TypeError("x is not a function"))).toMatchObject({ exitCode: 70 });
    expect(explain("thrown text").text).toContain("thrown text");
  });

  it("keeps control codes away from the terminal", () => {
    expect(explain(new SkeinError("INTERNAL", "a\u001b[2Jb")).text).toBe("a\\u001b[2Jb [INTERNAL]");
  });
});
