/** The version of this package, read from its package.json, which stands beside the sources and above the build. */
import { readFileSync } from "node:fs";

function readVersion(): string {
  for (const path of ["./package.json", "../package.json"]) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as { version: string }).version;
    } catch {}
  }
  throw new Error("package.json is not where it belongs");
}

export const version = readVersion();
