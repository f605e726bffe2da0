/** Where results go, and what has to be known about a measurement to compare it with another. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import type { Services } from "../test/services.ts";
import { version } from "../version.ts";
import { root, type SystemOptions } from "./system.ts";

/** Writes to `file`, by default one of its own in bench/results, which Git ignores. */
export function save(results: Record<string, unknown>, file: string | undefined): void {
  const name = `${new Date().toISOString().replace(/[:.]/g, "-")}.json`;
  const path = file ?? join(root, "bench/results", name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
  console.log(`\nSaved to ${path}`);
}

/** Commit, machine, versions and settings. */
export async function circumstances(services: Services, options: SystemOptions): Promise<Record<string, unknown>> {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const cores = cpus();
  return {
    at: new Date().toISOString(),
    skein: version,
    commit: git("rev-parse", "HEAD"),
    has_uncommitted_changes: git("status", "--porcelain") !== "",
    machine: {
      cpu: cores[0]?.model ?? "unknown",
      cores: cores.length,
      memory_gib: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      node: process.version,
    },
    postgres: await postgresSettings(services.databaseUrl),
    rabbitmq: options.mode === "queue" ? "quorum queues, publisher confirms" : "none",
    settings: options,
  };
}

async function postgresSettings(databaseUrl: string): Promise<Record<string, string>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; setting: string }>(
      `select name, setting from pg_settings
       where name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers')`,
    );
    return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  } finally {
    await client.end();
  }
}
