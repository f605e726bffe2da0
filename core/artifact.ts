/** Artifacts: the files of a run. What they may be called, and when one may be written. */
import { formatCount, type LimitName, type Limits, limitSentence } from "./limits.ts";

/** In UTF-8; encoded for a URL it takes three times as much at most. */
export const MAX_ARTIFACT_PATH_BYTES = 512;
/** RFC 9110: `type/subtype`, and parameters such as `; charset=utf-8`. */
const mediaType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\\p{Cc}]*"))*$/u;
const MAX_MEDIA_TYPE_LENGTH = 255;

/**
 * Why a text cannot be the path of an artifact, as it goes on after its name; undefined for one that can. Paths are
 * relative, of segments between single slashes, so that they cannot lead out of wherever a reader puts the files.
 */
export function artifactPathFlaw(path: string): string | undefined {
  if (path === "") return "must not be empty";
  if (Buffer.byteLength(path) > MAX_ARTIFACT_PATH_BYTES) {
    return `must have at most ${MAX_ARTIFACT_PATH_BYTES} bytes of UTF-8`;
  }
  // `isWellFormed` is not in the types of our target; a lone surrogate is of the category Cs.
  if (/\p{Cc}|\p{Cs}/u.test(path)) return "must hold no control character and no lone surrogate";
  if (path.includes("\\")) return "must hold no backslash; write `/` between folders";
  const segments = path.split("/");
  if (segments.includes("")) return "must not begin or end with `/`, or hold two in a row";
  if (segments.includes(".") || segments.includes("..")) return "must have no segment `.` or `..`";
  return undefined;
}

/** Whether a text can be the content type of an artifact. */
export function isMediaType(text: string): boolean {
  return text.length <= MAX_MEDIA_TYPE_LENGTH && mediaType.test(text);
}

/** What must hold of the artifact as it is for a write to take place. */
export type ArtifactCondition = { absent: true } | { sha256: string };

/** The attempt of a task that wrote it; null for somebody outside of the run. */
export type ArtifactWriter = { taskId: string; attempt: number } | null;

export interface ArtifactState {
  /** Of the content, in hex. */
  sha256: string;
  contentType: string;
  writer: ArtifactWriter;
}

export interface ArtifactWish {
  /** What is there under the path now. */
  existing: ArtifactState | undefined;
  /** The other artifacts of the run. */
  others: { count: number; bytes: number };
  wanted: ArtifactState & { bytes: number };
  condition: ArtifactCondition | undefined;
}

/** `same`: it is there already, as it is wanted. */
export type ArtifactVerdict = "write" | "same" | "conflict" | { limit: string };

/**
 * Whether an artifact is written. To write once more what is there changes nothing, whatever the condition. An attempt is
 * not held to its condition against what an earlier attempt of its task has left: the attempt takes that one's place.
 */
export function decideArtifact({ existing, others, wanted, condition }: ArtifactWish, limits: Limits): ArtifactVerdict {
  if (existing?.sha256 === wanted.sha256 && existing.contentType === wanted.contentType) return "same";
  if (condition && !isMet(condition, existing) && !isReplaced(existing?.writer, wanted.writer)) return "conflict";
  const checks: [LimitName, number, string][] = [
    ["artifactBytes", wanted.bytes, "The artifact has"],
    ["artifactsPerRun", others.count + 1, "With it the run has"],
    ["artifactBytesPerRun", others.bytes + wanted.bytes, "With it the run has"],
  ];
  const exceeded = checks.find(([name, actual]) => actual > limits[name]);
  if (!exceeded) return "write";
  const [name, actual, subject] = exceeded;
  const noun = name === "artifactsPerRun" ? "artifacts" : "bytes of artifacts";
  return { limit: `${subject} ${formatCount(actual)} ${noun}; ${limitSentence(name, limits)}.` };
}

function isMet(condition: ArtifactCondition, existing: ArtifactState | undefined): boolean {
  return "absent" in condition ? !existing : existing?.sha256 === condition.sha256;
}

function isReplaced(earlier: ArtifactWriter | undefined, now: ArtifactWriter): boolean {
  return !!earlier && !!now && earlier.taskId === now.taskId && earlier.attempt < now.attempt;
}
