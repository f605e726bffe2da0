/**
 * `file.write` — writes an artifact: a file of the run that the task belongs to.
 *
 * Writing what is there once more changes nothing, and an attempt may replace what an earlier attempt of its task has left,
 * so a repeated attempt does no harm. Docs, limits and errors: docs/executors/file.write.md.
 */
import { z } from "zod";
import { isMediaType } from "../../../core/artifact.ts";
import { artifactPath } from "../../../core/protocol/artifacts.ts";
import { defineExecutor } from "../../../sdk/executor.ts";
import { describe, description } from "./description.ts";

const contentKeys = ["text", "base64", "json"] as const;

const input = z
  .strictObject({
    path: artifactPath.describe("Such as reports/summary.md"),
    text: z.string().optional().describe("The content as a text"),
    base64: z.string().refine(isBase64, "is no base64").optional().describe("The content as bytes in base64"),
    json: z.unknown().optional().describe("The content as any JSON value"),
    content_type: z
      .string()
      .refine(isMediaType, "is not of the form type/subtype")
      .optional()
      .describe("Default by the kind of content"),
    if_absent: z.boolean().default(false).describe("Fail where another file is there already"),
    if_match: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "is no SHA-256 in hex")
      .optional()
      .describe("Fail unless the content there has this SHA-256"),
  })
  .refine((given) => contentKeys.filter((key) => given[key] !== undefined).length === 1, {
    path: ["text"],
    message: "or else one of base64 and json must be there, and no two of them",
  })
  .refine((given) => !given.if_absent || given.if_match === undefined, {
    path: ["if_match"],
    message: "cannot be there beside if_absent",
  });

export const fileWrite = defineExecutor({
  capability: "file.write",
  description: "Writes a file of the run",
  input,
  output: description,
  async run({ input, artifacts }) {
    const { path, if_absent, if_match } = input;
    const { content, contentType } = contentOf(input);
    const written = await artifacts.write(path, content, {
      contentType: input.content_type ?? contentType,
      ifAbsent: if_absent,
      ...(if_match !== undefined && { ifMatch: if_match }),
    });
    return describe(written);
  },
});

function isBase64(text: string): boolean {
  return Buffer.from(text, "base64").toString("base64") === text;
}

function contentOf({ text, base64, json }: z.output<typeof input>): { content: Buffer; contentType: string } {
  if (text !== undefined) return { content: Buffer.from(text), contentType: "text/plain; charset=utf-8" };
  if (base64 !== undefined) return { content: Buffer.from(base64, "base64"), contentType: "application/octet-stream" };
  return { content: Buffer.from(JSON.stringify(json)), contentType: "application/json" };
}
