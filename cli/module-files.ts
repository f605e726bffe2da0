/** The files of a project that its modules are made of, to be watched for changes. */
import { readFileSync, statSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";

/** Relative ones only; what else looks like one, in a comment say, is watched in vain. */
const specifiers = /\b(?:from|import|require)\s*\(?\s*["'](\.{1,2}\/[^"'\n]+)["']/g;

/** In TypeScript an import may name the file that the compiler would write. */
const written: Record<string, string> = { ".js": ".ts", ".mjs": ".mts", ".cjs": ".cts" };
const endings = [".ts", ".js", ".mjs", ".cjs", ".mts", ".cts", ".json"];

/**
 * The modules and all they import by relative paths, directly or not, within `folder` and outside of node_modules. A file
 * that is missing is listed, too: it may come.
 */
export function filesOfModules(modules: readonly string[], folder: string): string[] {
  const found = new Set<string>();
  const left = modules.map((module) => resolve(folder, module));
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (found.has(path) || !isWithin(folder, path)) continue;
    found.add(path);
    for (const specifier of specifiersIn(path)) left.push(fileOf(resolve(dirname(path), specifier)));
  }
  return [...found];
}

/** Changes whenever one of the files is written, replaced, removed or comes into being. */
export function stateOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const { ino, size, mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? {};
      return `${file} ${ino} ${size} ${mtimeMs}`;
    })
    .join("\n");
}

function isWithin(folder: string, path: string): boolean {
  const parts = relative(folder, path).split(sep);
  return parts[0] !== ".." && !parts.includes("node_modules");
}

function specifiersIn(path: string): string[] {
  if (!isFile(path)) return [];
  return Array.from(readFileSync(path, "utf8").matchAll(specifiers), ([, specifier]) => specifier!);
}

function fileOf(path: string): string {
  const compiled = path.replace(/\.[mc]?js$/, (ending) => written[ending]!);
  const indexes = endings.map((ending) => `${path}/index${ending}`);
  return [path, compiled, ...endings.map((ending) => path + ending), ...indexes].find(isFile) ?? path;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
