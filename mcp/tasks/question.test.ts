import { describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { approvalIn, decisionOf, questionOf } from "./question.ts";

describe("what a task waits for somebody to decide", () => {
  it.each<[string, Json, Json | undefined]>([
    ["an approval", { approval: { assignee: "ann" } }, { assignee: "ann" }],
    ["an approval among others", { any_of: [{ signal: "s" }, { approval: {} }] }, {}],
    ["a signal", { signal: "s" }, undefined],
    ["none of several", { any_of: [{ signal: "s" }, { for: "1s" }] }, undefined],
    ["nothing", null, undefined],
    ["a text", "approval", undefined],
  ])("is found in a wait for %s", (_what, input, approval) => {
    expect(approvalIn(input)).toEqual(approval);
  });
});

describe("the question", () => {
  it("names task, workflow, who should answer and what about", () => {
    const { message } = questionOf("report", "ask", { assignee: "ann", payload: { sum: 7 } });
    expect(message).toMatch(/ask of report .* by ann\.[\s\S]*\{"sum":7\}$/);
    expect(questionOf("report", "ask", {}).message).not.toContain("by");
  });

  const schemaOf = (form: Json) => questionOf("report", "ask", { form }).requestedSchema;

  it("without a form asks for yes or no", () => {
    expect(questionOf("report", "ask", {}).requestedSchema).toMatchObject({
      properties: { approve: { type: "boolean" }, comment: { type: "string" } },
      required: ["approve"],
    });
  });

  it("asks for a flat form field by field, and tells of each what clients understand", () => {
    const name = { type: "string", title: "Name", minLength: 1, pattern: "^x", format: "uuid" };
    const form = {
      type: "object",
      additionalProperties: false,
      required: ["name"],
      properties: {
        name,
        mail: { type: "string", format: "email" },
        size: { type: "integer", minimum: 1, multipleOf: 2 },
        sure: { type: "boolean", default: true },
        colour: { type: "string", enum: ["red", "blue"] },
      },
    };
    expect(schemaOf(form)).toEqual({
      type: "object",
      required: ["name"],
      properties: {
        name: { type: "string", title: "Name", minLength: 1 },
        mail: { type: "string", format: "email" },
        size: { type: "integer", minimum: 1 },
        sure: { type: "boolean", default: true },
        colour: { type: "string", enum: ["red", "blue"] },
      },
    });
  });

  it.each<[string, Json]>([
    ["nested", { type: "object", properties: { a: { type: "object" } } }],
    ["a list", { type: "array", items: { type: "string" } }],
    ["without fields", { type: "object", properties: {} }],
    [
      "asking for a field it does not describe",
      { type: "object", properties: { a: { type: "string" } }, required: ["b"] },
    ],
    ["of fields of several types", { type: "object", properties: { a: { type: ["string", "null"] } } }],
    ["true", true],
  ])("asks for JSON where the form is %s", (_what, form) => {
    expect(schemaOf(form)).toMatchObject({
      properties: { answer: { type: "string", description: expect.stringContaining(JSON.stringify(form)) } },
    });
  });
});

describe("the decision", () => {
  const flat = { form: { type: "object", properties: { n: { type: "integer" } } } };
  const nested = { form: { type: "array" } };
  it.each([
    ["yes", {}, { action: "accept", content: { approve: true } }, { approved: true }],
    [
      "yes, with a comment",
      {},
      { action: "accept", content: { approve: true, comment: "ok" } },
      { approved: true, comment: "ok" },
    ],
    ["no", {}, { action: "accept", content: { approve: false, comment: "bad" } }, { approved: false, comment: "bad" }],
    ["declined", {}, { action: "decline" }, { approved: false }],
    ["closed", {}, { action: "cancel" }, undefined],
    ["missing", {}, undefined, undefined],
    ["nonsense", {}, "accept", undefined],
    ["a form filled in", flat, { action: "accept", content: { n: 7 } }, { approved: true, payload: { n: 7 } }],
    ["an empty form", flat, { action: "accept" }, { approved: true, payload: {} }],
    ["a form declined", flat, { action: "decline", content: { n: 7 } }, { approved: false }],
    ["JSON", nested, { action: "accept", content: { answer: "[1]" } }, { approved: true, payload: [1] }],
  ])("of an answer that is %s", (_what, approval, answer, decision) => {
    expect(decisionOf(approval, answer)).toEqual(decision);
  });

  it("says what is wrong with an answer that should be JSON and is not", () => {
    expect(() => decisionOf(nested, { action: "accept", content: { answer: "[1" } })).toThrow("no JSON: [1");
    expect(() => decisionOf(nested, { action: "accept", content: {} })).toThrow("no JSON");
  });
});
