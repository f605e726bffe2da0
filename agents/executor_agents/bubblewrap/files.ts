/** Files that a task brings along into its sandbox: what they may be called, and how the two executors say so. */

import { posix } from "node:path";
import { z } from "zod";
import { WORK_FOLDER } from "./command-line.ts";

const MAX_FILES = 32;
const MAX_PATH_CHARS = 200;

/**
 * Relative, in the shortest form, and of characters that need no quoting anywhere. They are written before any code runs,
 * so there is no link yet that could lead out.
 */
const path = z
  .string()
  .max(MAX_PATH_CHARS)
  .regex(/^[\w.-]+(\/[\w.-]+)*$/, "has to be letters, digits, `_`, `-` and `.`, in folders separated by `/`")
  .refine((name) => !name.split("/").some((part) => part === "." || part === ".."), "must not hold `.` or `..`");

/** The field `files` of an input. */
export const filesSchema = z
  .record(path, z.string())
  .refine((files) => Object.keys(files).length <= MAX_FILES, `has at most ${MAX_FILES} files`)
  .refine((files) => !foldersOf(files).some((folder) => folder in files), "has a file where another needs a folder")
  .default({})
  .describe("Texts by path, to find in the working folder");

/** The same by their path in the sandbox. */
export function workFiles(files: Readonly<Record<string, string>>): [path: string, content: string][] {
  return Object.entries(files).map(([name, content]) => [posix.join(WORK_FOLDER, name), content]);
}

function foldersOf(files: Readonly<Record<string, string>>): string[] {
  return Object.keys(files).flatMap((name) => {
    const parts = name.split("/");
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
  });
}
