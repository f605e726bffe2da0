/**
 * The official programs that test MCP servers, and a Node that runs them: they ask for a newer one than Skein does. They are
 * big and of no use to anybody else, so they are no dependencies, but are installed once into a folder of their own.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { SkeinError } from "../../core/errors.ts";

export interface McpPrograms {
  /** A Node of at least 22. */
  node: string;
  /** Of the node: it starts each program faster than the time before, from what is compiled already. */
  env: { NODE_COMPILE_CACHE: string };
  /** Scripts for it. */
  conformance: string;
  inspector: string;
}

const folder = join(dirname(dirname(import.meta.dirname)), ".skein", "mcp-programs");
const CONFORMANCE = "@modelcontextprotocol/conformance";
const INSPECTOR = "@modelcontextprotocol/inspector";
const MIN_NODE = 22;

const hasNode = Number(process.versions.node.split(".")[0]) >= MIN_NODE;
/** The binary alone; the package `node` needs its install script. */
const nodePackage = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;

const dependencies: Record<string, string> = {
  [CONFORMANCE]: "0.2.0-alpha.12",
  [INSPECTOR]: "2.12.0",
  ...(!hasNode && { [nodePackage]: "22.23.3" }),
};

/** Installs what is missing, which takes some 15 s once. Throws FEATURE_UNAVAILABLE where it cannot be had. */
export async function provideMcpPrograms(log: (line: string) => void): Promise<McpPrograms> {
  const manifest = JSON.stringify({ private: true, dependencies });
  const done = join(folder, "installed.json");
  if (!existsSync(done) || readFileSync(done, "utf8") !== manifest) {
    log("Installing the official MCP conformance suite and Inspector …");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), manifest);
    await install();
    writeFileSync(done, manifest);
  }
  const script = (name: string, path: string) => join(folder, "node_modules", name, path);
  return {
    node: hasNode ? process.execPath : script(nodePackage, process.platform === "win32" ? "bin/node.exe" : "bin/node"),
    env: { NODE_COMPILE_CACHE: join(folder, "compiled") },
    conformance: script(CONFORMANCE, "dist/index.js"),
    inspector: script(INSPECTOR, "clients/launcher/build/index.js"),
  };
}

async function install(): Promise<void> {
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  const isWindows = process.platform === "win32";
  await promisify(execFile)("npm", args, { cwd: folder, shell: isWindows }).catch((error: Error) => {
    const packages = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`);
    throw new SkeinError("FEATURE_UNAVAILABLE", `npm cannot install ${packages.join(", ")}: ${error.message}`, {
      cause: error,
    });
  });
}
