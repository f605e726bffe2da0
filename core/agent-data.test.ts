import { describe, expect, it } from "vitest";
import { addressPost, mayPass, refuseEntries, refuseMessage, refuseState, refuseSubscription } from "./agent-data.ts";
import { defaultLimits } from "./limits.ts";

const limits = {
  ...defaultLimits,
  stateBytes: 10,
  memoryEntryBytes: 10,
  memoryEntries: 3,
  messageBytes: 10,
  inboxMessages: 3,
};
/** Of ten bytes as JSON, and of eleven. */
const [fits, large] = ["x".repeat(8), "x".repeat(9)];

describe("a write of the state", () => {
  it.each([
    ["the first, whatever there is", 0, fits, undefined, undefined],
    ["a later one, whatever there is", 3, fits, undefined, undefined],
    ["one that expects what there is", 3, fits, 3, undefined],
    ["one that expects none where there is none", 0, fits, 0, undefined],
    ["one that expects another", 3, fits, 2, "expects revision 2 of the agent's state, but it has revision 3"],
    [
      "one that expects some where there is none",
      0,
      fits,
      2,
      "expects revision 2 of the agent's state, but there is none",
    ],
    ["one that expects none where there is some", 3, fits, 0, "expects there to be none of the agent's state"],
    ["a removal", 3, undefined, undefined, undefined],
    ["a removal of another", 3, undefined, 2, "but it has revision 3"],
    [
      "a document that is too large",
      0,
      large,
      undefined,
      "The state has 11 bytes as JSON; the limit is 10 bytes of state",
    ],
    ["a document of two-byte letters", 0, "ö".repeat(5), undefined, "12 bytes"],
  ])("%s", (_, revision, document, expected, refusal) => {
    const condition = expected === undefined ? undefined : { revision: expected };
    const answer = refuseState({ revision, document, condition }, limits);
    expect(answer?.message).toEqual(refusal && expect.stringContaining(refusal));
  });
});

describe("memory entries", () => {
  it.each([
    ["as many as there may be", 1, [fits, fits], undefined],
    ["one too many", 2, [fits, fits], "MEMORY_FULL"],
    ["one that is too large", 0, [fits, large], "AGENT_DATA_TOO_LARGE"],
    ["none", 3, [], undefined],
  ])("%s", (_, existing, contents, code) => {
    expect(refuseEntries(existing, contents, limits)?.code).toBe(code);
  });
});

describe("a message", () => {
  const message = { unread: 0, isKnown: true, mustRoute: false, to: "b", body: fits };
  it.each([
    ["to somebody", {}, undefined],
    ["to nobody, kept", { isKnown: false }, undefined],
    ["to nobody, that must be heard", { isKnown: false, mustRoute: true }, "AGENT_NOT_FOUND"],
    ["the last that fits", { unread: 2 }, undefined],
    ["one too many", { unread: 3 }, "INBOX_FULL"],
    ["that is too large", { body: large }, "AGENT_DATA_TOO_LARGE"],
  ])("%s", (_, more, code) => {
    expect(refuseMessage({ ...message, ...more }, limits)?.code).toBe(code);
  });
});

describe("a message to many", () => {
  const inbox = (name: string, unread: number) => ({ name, unread });
  const post = { to: "the topic", body: fits, mustRoute: false };
  it.each([
    ["nobody", [], false, { recipients: [], missed: 0 }],
    ["nobody, that must be heard", [], true, "AGENT_NOT_FOUND"],
    ["some", [inbox("a", 0), inbox("b", 2)], false, { recipients: [inbox("a", 0), inbox("b", 2)], missed: 0 }],
    [
      "some, of whom one has no room",
      [inbox("a", 3), inbox("b", 2)],
      false,
      { recipients: [inbox("b", 2)], missed: 1 },
    ],
    ["all of some, of whom one has no room", [inbox("a", 3), inbox("b", 2)], true, "INBOX_FULL"],
    ["too many", ["a", "b", "c", "d"].map((name) => inbox(name, 0)), false, "TOO_MANY_RECIPIENTS"],
  ])("to %s", (_, recipients, mustRoute, expected) => {
    const answer = addressPost({ ...post, recipients, mustRoute }, { ...limits, recipients: 3 });
    expect("code" in answer ? answer.code : answer).toEqual(expected);
  });

  it("is refused when it is too large, whoever would hear it", () => {
    expect(addressPost({ ...post, body: large, recipients: [] }, limits)).toMatchObject({
      code: "AGENT_DATA_TOO_LARGE",
    });
  });
});

it("a subscription is refused to an agent that has as many as it may", () => {
  expect(refuseSubscription("a", 1, { ...limits, subscriptions: 2 })).toBeUndefined();
  expect(refuseSubscription("a", 2, { ...limits, subscriptions: 2 })).toMatchObject({
    code: "SUBSCRIPTIONS_FULL",
    message: expect.stringContaining('"a" would have 3 subscriptions; the limit is 2 subscriptions per agent'),
  });
});

describe("a refusal", () => {
  it.each([
    ["STATE_CONFLICT", true],
    ["INBOX_FULL", true],
    ["MEMORY_FULL", true],
    ["AGENT_DATA_TOO_LARGE", false],
    ["AGENT_NOT_FOUND", false],
    ["TOO_MANY_RECIPIENTS", false],
  ] as const)("of the code %s may pass: %s", (code, passes) => {
    expect(mayPass({ code, message: "" })).toBe(passes);
  });
});
