/** What the system counts itself: requests it answered, and what it wrote to the database. */
import pg from "pg";

export interface Counters {
  requests: number;
  /** Transactions that wrote: each waits for one flush of the log to disk, though several may share one. */
  transactions: number;
  walBytes: number;
}

/** Everything so far; the counting itself adds two requests or so and one transaction. */
export async function readCounters(url: string, databaseUrl: string): Promise<Counters> {
  const response = await fetch(`${url}/metrics`);
  const requests = sumOf(await response.text(), "skein_http_request_duration_seconds_count");
  return { requests, ...(await written(databaseUrl)) };
}

/** Of all lines of this metric in the Prometheus text format, whatever their labels. */
function sumOf(text: string, metric: string): number {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${metric}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function written(databaseUrl: string): Promise<Omit<Counters, "requests">> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ transactions: string; bytes: string }>(
      "select pg_current_xact_id() as transactions, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes",
    );
    const { transactions, bytes } = rows[0]!;
    return { transactions: Number(transactions), walBytes: Number(bytes) };
  } finally {
    await client.end();
  }
}
