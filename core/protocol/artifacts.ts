/** The files of a run, as they go over the wire: content as it is, everything else as JSON. */
import { z } from "zod";
import { artifactPathFlaw, MAX_ARTIFACT_PATH_BYTES } from "../artifact.ts";
import { pageQuery, timestamp, uuid } from "./common.ts";

export const artifactPath = z
  .string()
  .superRefine((path, context) => {
    const flaw = artifactPathFlaw(path);
    if (flaw) context.addIssue(flaw);
  })
  .meta({
    description: `Relative, of segments between single \`/\`, none \`.\` or \`..\`; at most ${MAX_ARTIFACT_PATH_BYTES} bytes. URL-encoded as a whole`,
  });

export const artifact = z
  .object({
    path: z.string(),
    content_type: z.string(),
    size: z.number().int().meta({ description: "In bytes" }),
    sha256: z.string().meta({ description: "Of the content, in hex; quoted, it is the ETag" }),
    task_id: uuid.nullable().meta({ description: "The task that wrote it last; null: somebody outside of the run" }),
    attempt: z.number().int().nullable(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Artifact" });
export type ArtifactBody = z.infer<typeof artifact>;

export const artifactsQuery = pageQuery.extend({
  prefix: z.string().max(MAX_ARTIFACT_PATH_BYTES).optional().meta({ description: "How the path begins" }),
});

/** The header by which an agent says which lease it reads or writes under: `<task_id> <attempt> <lease_token>`. */
export const LEASE_HEADER = "skein-lease";
