import { describe, expect, it } from "vitest";
import {
  type ArtifactWish,
  artifactPathFlaw,
  decideArtifact,
  isMediaType,
  MAX_ARTIFACT_PATH_BYTES,
} from "./artifact.ts";
import { defaultLimits } from "./limits.ts";

describe("the path of an artifact", () => {
  it.each([
    "a",
    "report.md",
    "out/2026/report.md",
    "a b",
    "Größe/日本.txt",
    "...",
    ".hidden",
    "a..b",
    "C:",
    "%2e%2e",
    "x".repeat(MAX_ARTIFACT_PATH_BYTES),
  ])("can be %s", (path) => {
    expect(artifactPathFlaw(path)).toBeUndefined();
  });

  it.each([
    ["", "empty"],
    ["/etc/passwd", "begin"],
    ["a/", "begin or end"],
    ["a//b", "two in a row"],
    ["..", "segment"],
    ["../a", "segment"],
    ["a/../b", "segment"],
    ["a/..", "segment"],
    ["./a", "segment"],
    ["a/./b", "segment"],
    ["a\\b", "backslash"],
    ["..\\a", "backslash"],
    ["a\u0000b", "control"],
    ["a\nb", "control"],
    ["a\u0085b", "control"],
    ["a\ud800", "surrogate"],
    ["x".repeat(MAX_ARTIFACT_PATH_BYTES + 1), "512 bytes"],
    ["é".repeat(MAX_ARTIFACT_PATH_BYTES / 2 + 1), "512 bytes"],
  ])("cannot be %j", (path, reason) => {
    expect(artifactPathFlaw(path)).toContain(reason);
  });
});

it.each<[string, boolean]>([
  ["text/plain", true],
  ["text/markdown; charset=utf-8", true],
  ['multipart/mixed; boundary="a b"', true],
  ["application/vnd.api+json", true],
  ["", false],
  ["text", false],
  ["text/plain;", false],
  ["text/plain\r\nx: y", false],
  ['text/plain; a="\n"', false],
  ["téxt/plain", false],
  [`text/${"x".repeat(251)}`, false],
])("the content type %j: %s", (text, isOne) => {
  expect(isMediaType(text)).toBe(isOne);
});

describe("a write", () => {
  const limits = { ...defaultLimits, artifactBytes: 10, artifactBytesPerRun: 20, artifactsPerRun: 3 };
  const [T, U] = ["task-1", "task-2"];
  const state = (sha256: string, writer: ArtifactWish["wanted"]["writer"] = null) => ({
    sha256,
    contentType: "text/plain",
    writer,
  });
  const wish = (more: Partial<ArtifactWish> = {}): ArtifactWish => ({
    existing: undefined,
    others: { count: 0, bytes: 0 },
    wanted: { ...state("new"), bytes: 5 },
    condition: undefined,
    ...more,
  });
  const by = (taskId: string, attempt: number) => ({ taskId, attempt });

  it.each<[string, Partial<ArtifactWish>, string]>([
    ["of what is not there", {}, "write"],
    ["over something else", { existing: state("old") }, "write"],
    ["of the same again", { existing: state("new") }, "same"],
    ["of the same again, though it should be absent", { existing: state("new"), condition: { absent: true } }, "same"],
    [
      "of the same again, though another was expected",
      { existing: state("new"), condition: { sha256: "old" } },
      "same",
    ],
    ["of the same as another type", { existing: { ...state("new"), contentType: "text/html" } }, "write"],
    ["if absent, and it is", { condition: { absent: true } }, "write"],
    ["if absent, and it is not", { existing: state("old"), condition: { absent: true } }, "conflict"],
    ["if as expected, and it is", { existing: state("old"), condition: { sha256: "old" } }, "write"],
    ["if as expected, and it is not", { existing: state("other"), condition: { sha256: "old" } }, "conflict"],
    ["if as expected, and it is not there", { condition: { sha256: "old" } }, "conflict"],
  ])("%s", (_, more, verdict) => {
    expect(decideArtifact(wish(more), limits)).toBe(verdict);
  });

  it.each<[string, ArtifactWish["wanted"]["writer"], ArtifactWish["wanted"]["writer"], string]>([
    ["an earlier attempt of the task", by(T, 1), by(T, 2), "write"],
    ["the same attempt", by(T, 2), by(T, 2), "conflict"],
    ["a later attempt", by(T, 2), by(T, 1), "conflict"],
    ["another task", by(U, 1), by(T, 2), "conflict"],
    ["somebody outside", null, by(T, 2), "conflict"],
    ["a task, from outside", by(T, 1), null, "conflict"],
  ])("whose condition is not met, over what was left by %s", (_, left, now, verdict) => {
    for (const condition of [{ absent: true } as const, { sha256: "before" }]) {
      const wanted = { ...state("new", now), bytes: 5 };
      expect(decideArtifact(wish({ existing: state("old", left), wanted, condition }), limits)).toBe(verdict);
    }
  });

  const sized = (bytes: number) => ({ ...state("new"), bytes });
  it.each<[string, Partial<ArtifactWish>, string | undefined]>([
    ["as large as one may be", { wanted: sized(10) }, undefined],
    ["larger", { wanted: sized(11) }, "SKEIN_MAX_ARTIFACT_BYTES"],
    ["with which all are as large as they may be", { others: { count: 2, bytes: 15 } }, undefined],
    ["with which all are larger", { others: { count: 1, bytes: 16 } }, "SKEIN_MAX_ARTIFACT_BYTES_PER_RUN"],
    ["with which there are too many", { others: { count: 3, bytes: 0 } }, "SKEIN_MAX_ARTIFACTS_PER_RUN"],
  ])("%s", (_, more, setting) => {
    const verdict = decideArtifact(wish(more), limits);
    if (setting === undefined) expect(verdict).toBe("write");
    else expect(verdict).toEqual({ limit: expect.stringContaining(`(${setting} raises it)`) });
  });
});
