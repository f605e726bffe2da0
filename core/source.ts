/** A document as somebody wrote it: its value, and where in the text each part of it stands. */
import type { LineCounter } from "yaml";
import type { Issue } from "./errors.ts";
import { pointerTo } from "./json.ts";

export interface Source {
  /** Undefined when the text could not be read at all. */
  value: unknown;
  /** What is wrong with the text itself, with positions. */
  issues: Issue[];
  /** What was found in the value, with the line and column of what it points at, or of the nearest thing around that. */
  place<T extends Pointing>(issues: readonly T[]): (T & Position)[];
}

type Pointing = Pick<Issue, "pointer"> & { code: string };
type Position = Pick<Issue, "line" | "column">;

/** Where a value begins in the text, and the key it has when it is the member of an object. */
export interface Offsets {
  key?: number;
  value: number;
}

/** Adds positions to issues. An unknown key is shown at the key, anything else at the value. */
export function placeIssues<T extends Pointing>(
  issues: readonly T[],
  lines: LineCounter,
  offsetsOf: (pointer: string) => Offsets | undefined,
): (T & Position)[] {
  return issues.map((issue) => {
    for (const pointer of outwards(issue.pointer)) {
      const offsets = offsetsOf(pointer);
      if (!offsets) continue;
      const isKey = issue.code === "WORKFLOW_KEY_UNKNOWN" && pointer === issue.pointer;
      return { ...issue, ...positionAt(lines, (isKey ? offsets.key : undefined) ?? offsets.value) };
    }
    return issue;
  });
}

/** Both count from 1; columns are UTF-16 units. */
export function positionAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** The pointer, then that of each thing around it, up to the whole document. */
export function outwards(pointer: string): string[] {
  const segments = segmentsOf(pointer);
  return Array.from({ length: segments.length + 1 }, (_, dropped) =>
    segments.slice(0, segments.length - dropped).reduce(pointerTo, ""),
  );
}

/** The decoded segments of an RFC 6901 pointer. */
export function segmentsOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"));
}
