import { describe, expect, it } from "vitest";
import { type ErrorCode, errorTitles, SkeinError } from "../core/errors.ts";
import { problemBody, statusOf } from "./problems.ts";

describe("problems", () => {
  it("of every code have the status of a refusal, and of a failure only where the server is to blame", () => {
    const codes = Object.keys(errorTitles) as ErrorCode[];
    expect(codes.filter((code) => statusOf(code) < 400 || statusOf(code) > 599)).toEqual([]);
    expect(codes.filter((code) => statusOf(code) >= 500)).toEqual([
      "PLANNER_FAILED",
      "DATABASE_UNAVAILABLE",
      "BROKER_UNAVAILABLE",
      "MEMORY_UNAVAILABLE",
      "EMBEDDINGS_FAILED",
      "FEATURE_UNAVAILABLE",
      "INTERNAL",
    ]);
  });

  it("have the members of RFC 9457, and one entry an issue", () => {
    const issue = {
      code: "WORKFLOW_KEY_UNKNOWN",
      message: "No such key.",
      pointer: "/a~1b",
      line: 3,
      column: 5,
    } as const;
    expect(problemBody(new SkeinError("WORKFLOW_INVALID", "Two flaws.", { issues: [issue] }), "/v1/workflows")).toEqual(
      {
        type: "/problems/WORKFLOW_INVALID",
        title: "The workflow definition is not valid",
        status: 422,
        code: "WORKFLOW_INVALID",
        detail: "Two flaws.",
        instance: "/v1/workflows",
        errors: [issue],
      },
    );
    expect(problemBody(new SkeinError("RATE_LIMITED", "Later."))).not.toHaveProperty("errors");
  });
});
