import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../../../core/json.ts";
import { defaultLimits } from "../../../core/limits.ts";
import type { Executor } from "../../../sdk/executor.ts";
import { type PerformTaskOptions, performTask } from "../perform-task.ts";
import { fileList } from "./file-list.ts";
import { fileRead } from "./file-read.ts";
import { fileWrite } from "./file-write.ts";

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

/** The output, or else the code of the failure and whether it is final. */
async function outcomeOf(executor: Executor, input: JsonObject, artifacts: PerformTaskOptions["artifacts"] = {}) {
  const { output, error, retryable } = await performTask(executor, input, { artifacts });
  return error ? { code: error.code, message: error.message, retryable } : output;
}

describe("file.write", () => {
  it.each<[string, JsonObject, string, string]>([
    ["a text", { text: "grüße" }, "grüße", "text/plain; charset=utf-8"],
    ["nothing", { text: "" }, "", "text/plain; charset=utf-8"],
    ["bytes", { base64: "AAECgP8=" }, "\0\u0001\u0002\x80\xff", "application/octet-stream"],
    ["JSON", { json: { a: [1, null] } }, '{"a":[1,null]}', "application/json"],
    ["null", { json: null }, "null", "application/json"],
    ["a text of another type", { text: "# a", content_type: "text/markdown" }, "# a", "text/markdown"],
  ])("writes %s", async (name, content, expected, contentType) => {
    const bytes = Buffer.from(expected, name === "bytes" ? "latin1" : "utf8");
    const { output, artifacts } = await performTask(fileWrite, { path: "out/a", ...content });
    expect(artifacts).toEqual({ "out/a": { content: bytes, contentType } });
    expect(output).toEqual({ path: "out/a", content_type: contentType, size: bytes.length, sha256: sha256(bytes) });
  });

  it("replaces what is there, if it may", async () => {
    const there = { a: "old" };
    const write = async (more: JsonObject) => {
      const { output, error, artifacts } = await performTask(
        fileWrite,
        { path: "a", text: "new", ...more },
        { artifacts: there },
      );
      return [error?.code ?? (output as JsonObject).path, artifacts.a!.content.toString()];
    };
    expect(await write({})).toEqual(["a", "new"]);
    expect(await write({ if_match: sha256("old") })).toEqual(["a", "new"]);
    expect(await write({ if_match: sha256("other") })).toEqual(["ARTIFACT_CONFLICT", "old"]);
    expect(await write({ if_absent: true })).toEqual(["ARTIFACT_CONFLICT", "old"]);
    expect(await write({ if_absent: true, text: "old" })).toEqual(["a", "old"]);
  });

  it.each<[string, JsonObject]>([
    ["/path", { path: "../a", text: "" }],
    ["/path", { path: "/etc/passwd", text: "" }],
    ["/path", { path: "a\u0000", text: "" }],
    ["/text", { path: "a" }],
    ["/text", { path: "a", text: "", json: 1 }],
    ["/base64", { path: "a", base64: "%%%" }],
    ["/content_type", { path: "a", text: "", content_type: "text/plain\r\nx: y" }],
    ["/if_match", { path: "a", text: "", if_match: "abc" }],
    ["/if_match", { path: "a", text: "", if_match: sha256(""), if_absent: true }],
  ])("refuses what is wrong at %s: %j", async (pointer, input) => {
    const { error, retryable, artifacts } = await performTask(fileWrite, input);
    expect([error?.code, retryable, artifacts]).toEqual(["INPUT_INVALID", false, {}]);
    expect(error?.message).toContain(`${pointer}: `);
  });

  it("fails for good when the run cannot take it", async () => {
    const content = Buffer.alloc(defaultLimits.artifactBytes);
    const full = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`${n}`, content]));
    const failure = { code: "ARTIFACT_LIMIT_EXCEEDED", retryable: false };
    expect(await outcomeOf(fileWrite, { path: "one more", text: "x" }, full)).toMatchObject(failure);
    const tooLarge = { path: "a", text: "x".repeat(defaultLimits.artifactBytes + 1) };
    expect(await outcomeOf(fileWrite, tooLarge)).toMatchObject(failure);
  });
});

describe("file.read", () => {
  it.each<[string, string | Buffer, Json]>([
    ["text", "grüße", "grüße"],
    ["base64", Buffer.from([0, 255]), "AP8="],
    ["json", '{"a": [1]}', { a: [1] }],
    ["json", "null", null],
  ])("tells the content as %s: %j", async (as, content, told) => {
    const bytes = Buffer.from(content as string);
    expect(await outcomeOf(fileRead, { path: "a", as }, { a: content })).toEqual({
      path: "a",
      content_type: typeof content === "string" ? "text/plain; charset=utf-8" : "application/octet-stream",
      size: bytes.length,
      sha256: sha256(bytes),
      [as]: told,
    });
  });

  it.each<[string, string, string | Buffer]>([
    ["FILE_NOT_TEXT", "text", Buffer.from([0xff])],
    ["FILE_NOT_TEXT", "text", "a\u0000b"],
    ["FILE_NOT_TEXT", "json", Buffer.from([0xff])],
    ["FILE_NOT_JSON", "json", "{"],
    ["FILE_NOT_JSON", "json", ""],
  ])("fails with %s for what cannot be told as %s: %j", async (code, as, content) => {
    expect(await outcomeOf(fileRead, { path: "a", as }, { a: content })).toMatchObject({ code, retryable: false });
  });

  it("fails for good when there is no such file, or no such path", async () => {
    const missing = { code: "ARTIFACT_NOT_FOUND", retryable: false, message: expect.stringContaining('"b"') };
    expect(await outcomeOf(fileRead, { path: "b" }, { a: "x" })).toMatchObject(missing);
    const wrong = { code: "INPUT_INVALID", message: expect.stringContaining("/path: must have no segment") };
    expect(await outcomeOf(fileRead, { path: "a/../b" }, { a: "x" })).toMatchObject(wrong);
  });
});

describe("file.list", () => {
  it("lists the files by path, in pages, by prefix", async () => {
    const files = { "b/2": "22", a: "1", "b/1": "" };
    const list = (input: JsonObject) => outcomeOf(fileList, input, files) as Promise<JsonObject>;
    const all = await list({});
    expect(all).toMatchObject({ files: [{ path: "a", size: 1, sha256: sha256("1") }, {}, {}], next_cursor: null });
    const first = await list({ prefix: "b/", limit: 1 });
    expect(first).toMatchObject({ files: [{ path: "b/1" }], next_cursor: expect.any(String) });
    const second = await list({ prefix: "b/", limit: 1, cursor: first.next_cursor! });
    expect(second).toMatchObject({ files: [{ path: "b/2" }], next_cursor: null });
  });
});
