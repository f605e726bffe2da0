import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { chown, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { findOnPath, majorVersion, type Service } from "./service.ts";

/** The store's SQL uses features that PostgreSQL 14 does not have. */
const oldestMajor = 15;

export const postgres: Service = {
  urlVariable: "DATABASE_URL",
  aptPackage: "postgresql",
  find,
  url: (port) => `postgres://skein@127.0.0.1:${port}/postgres`,
  ping: (url) => withClient(url, async (client) => void (await client.query("select 1"))),
  async prepare({ binary, port, folder, durable }) {
    const user = unprivilegedUser();
    const data = join(folder, "data");
    await mkdir(data, { mode: 0o700 });
    if (user) await chown(data, user.uid, user.gid);
    const initdb = join(dirname(realpathSync(binary)), "initdb");
    const cluster = ["--username=skein", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
    await promisify(execFile)(initdb, ["-D", data, ...cluster], { ...user, cwd: folder });
    const settings = { port, listen_addresses: "127.0.0.1", unix_socket_directories: "", ...tuning(durable) };
    // SIGQUIT is "immediate shutdown": as abrupt as a crash for the data, but the postmaster takes its children along.
    return [{ file: binary, args: ["-D", data, ...asFlags(settings)], ...user, endSignal: "SIGQUIT" }];
  },
  container: {
    image: "postgres:18",
    port: 5432,
    env: { POSTGRES_USER: "skein", POSTGRES_DB: "postgres", POSTGRES_HOST_AUTH_METHOD: "trust" },
    args: (durable) => ["postgres", ...asFlags(tuning(durable))],
  },
};

/**
 * Creates a database `<prefix><random>`, a copy of `template` when there is one.
 * @returns its URL
 */
export async function createDatabase(adminUrl: string, prefix: string, template?: string): Promise<string> {
  const name = prefix + randomUUID().slice(0, 8);
  const from = template ? `template ${pg.escapeIdentifier(template)}` : "";
  await withClient(adminUrl, (client) => client.query(`create database ${pg.escapeIdentifier(name)} ${from}`));
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Drops every database whose name begins with `prefix`, connected or not. */
export async function dropDatabases(adminUrl: string, prefix: string): Promise<void> {
  await withClient(adminUrl, async (client) => {
    const found = await client.query<{ datname: string }>(
      "select datname from pg_database where starts_with(datname, $1)",
      [prefix],
    );
    for (const { datname } of found.rows) {
      await client.query(`drop database if exists ${pg.escapeIdentifier(datname)} with (force)`);
    }
  });
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // Without a listener, a server that dies between two queries would end the whole process.
  client.on("error", () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end();
  }
}

/** The newest Debian version, else the one in PATH. Debian keeps the server out of PATH, RPMs and Homebrew put it there. */
async function find(): Promise<string | undefined> {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const path = findOnPath(
    "postgres",
    versions.map((version) => join(debian, version, "bin")),
  );
  if (!path || !existsSync(join(dirname(realpathSync(path)), "initdb"))) return undefined;
  return ((await majorVersion(path, ["--version"])) ?? 0) >= oldestMajor ? path : undefined;
}

/** PostgreSQL refuses to run as root, so root lends it another user. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  return user && { uid: Number(user[2]), gid: Number(user[3]) };
}

function tuning(durable: boolean): Record<string, string> {
  const always = { max_connections: "300", synchronous_commit: "on", timezone: "UTC" };
  return durable ? always : { ...always, fsync: "off", full_page_writes: "off" };
}

function asFlags(settings: Record<string, string | number>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}
