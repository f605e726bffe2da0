/** The files of runs. */
import type { ArtifactCondition, ArtifactWriter } from "../../core/artifact.ts";
import type { LeaseProof } from "./leases.ts";
import type { Page, PageOf } from "./pages.ts";

/** Who reads or writes: somebody of the namespace, or the attempt that holds this lease on a task of the run. */
export interface ArtifactAccess {
  namespace: string;
  runId: string;
  lease?: LeaseProof | undefined;
}

export interface Artifact {
  path: string;
  contentType: string;
  size: number;
  /** Of the content, in hex. */
  sha256: string;
  /** The attempt that wrote it; null for somebody outside of the run. */
  writer: ArtifactWriter;
  createdAt: Date;
  updatedAt: Date;
}

export interface ArtifactWrite {
  path: string;
  contentType: string;
  content: Buffer;
  condition?: ArtifactCondition | undefined;
}

/** Of an access that is refused. `stale`: the lease is not held, or not in this run. */
export type ArtifactRefusal = "no_run" | "stale";
export type ArtifactWritten =
  | { outcome: "written" | "same"; artifact: Artifact }
  | { outcome: "finished" | "conflict" | ArtifactRefusal }
  | { outcome: "limit"; message: string };

/** The paths have been checked. */
export interface ArtifactStore {
  /** Puts it in the place of what is there, as core decides (core/artifact.ts). */
  write(access: ArtifactAccess, write: ArtifactWrite): Promise<ArtifactWritten>;
  read(
    access: ArtifactAccess,
    path: string,
  ): Promise<{ artifact: Artifact; content: Buffer } | "no_artifact" | ArtifactRefusal>;
  /** Those whose path begins with `prefix`, in the order of their paths. */
  list(
    access: ArtifactAccess,
    filter: Page & { prefix?: string | undefined },
  ): Promise<PageOf<Artifact> | ArtifactRefusal>;
}
