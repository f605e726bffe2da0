/** What tasks are told of an artifact. */
import { z } from "zod";
import type { ArtifactBody } from "../../../core/protocol/artifacts.ts";

export const description = z.strictObject({
  path: z.string(),
  content_type: z.string(),
  size: z.int().describe("In bytes"),
  sha256: z.string().describe("Of the content, in hex"),
});

export function describe({ path, content_type, size, sha256 }: ArtifactBody): z.input<typeof description> {
  return { path, content_type, size, sha256 };
}
