/** The files of a run, by their paths. */
import { artifactPathFlaw } from "../core/artifact.ts";
import { SkeinError } from "../core/errors.ts";
import type { ArtifactBody } from "../core/protocol/artifacts.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";

export interface WriteArtifactOptions {
  /** Default `text/plain; charset=utf-8` for a text, `application/octet-stream` for bytes. */
  contentType?: string;
  /** Only where nothing is there yet; else ARTIFACT_CONFLICT. What is there with the same content is fine. */
  ifAbsent?: boolean;
  /** Only over the content of this SHA-256, in hex; else ARTIFACT_CONFLICT. */
  ifMatch?: string;
}

export interface ArtifactContent {
  content: Buffer;
  contentType: string;
  /** Of the content, in hex. */
  sha256: string;
}

export type ArtifactFilter = PageOptions & {
  /** How the path begins. */
  prefix?: string;
};

export function artifactsOf(http: Connection, runId: string, headers: Record<string, string> = {}) {
  const root = `/v1/runs/${encodeURIComponent(runId)}/artifacts`;
  const at = (path: string) => {
    // A URL would resolve `..` before the server sees it.
    const flaw = artifactPathFlaw(path);
    if (flaw) throw new SkeinError("REQUEST_INVALID", `The path ${JSON.stringify(path)} ${flaw}.`);
    return `${root}/${encodeURIComponent(path)}`;
  };
  return {
    list: (filter: ArtifactFilter = {}) => http.get<PageOf<ArtifactBody>>(root, filter, { headers }),
    read: async (path: string): Promise<ArtifactContent> => {
      const response = await http.bytes(at(path), headers);
      return {
        content: Buffer.from(await response.arrayBuffer()),
        contentType: response.headers.get("content-type") ?? "",
        sha256: (response.headers.get("etag") ?? "").replaceAll('"', ""),
      };
    },
    write: async (path: string, content: string | Uint8Array, options: WriteArtifactOptions = {}) => {
      const { ifAbsent, ifMatch, contentType = defaultContentType(content) } = options;
      return http.putBytes<ArtifactBody>(at(path), Buffer.from(content as string), {
        ...headers,
        "content-type": contentType,
        ...(ifAbsent && { "if-none-match": "*" }),
        ...(ifMatch !== undefined && { "if-match": `"${ifMatch}"` }),
      });
    },
  };
}

/** Of an artifact about whose type nothing was said. */
export function defaultContentType(content: string | Uint8Array): string {
  return typeof content === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
}
