/** Ways to stop a transaction in the middle of its COMMIT, and to lose the answer to one. PostgreSQL servers only. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import pg from "pg";

export interface Gate {
  /** Everything that leaves events of this run stops in its COMMIT, holding all its locks, until the answer is called. */
  close(runId: string): Promise<() => Promise<void>>;
  /** Resolves once this many transactions stand at closed gates. */
  arrivals(count: number): Promise<void>;
  /** Resolves once this many sessions wait for a lock of any kind, those at gates included. */
  waiting(count: number): Promise<void>;
  /** Ends the sessions that stand at gates, as an administrator or a failing server would. Answers how many. */
  kill(): Promise<number>;
  end(): Promise<void>;
}

/** Installs gates in a migrated database. They cost one lock per event row. */
export async function installGate(databaseUrl: string): Promise<Gate> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(`
    create function stand_at_gate() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(hashtext(new.run_id::text));
      return null;
    end $$;
    create constraint trigger gate after insert on event deferrable initially deferred
      for each row execute function stand_at_gate();`);

  const sessions = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  async function until(count: number, condition: string): Promise<void> {
    for (;;) {
      const { rows } = await client.query(`select 1 ${sessions} ${condition}`);
      if (rows.length >= count) return;
    }
  }
  return {
    close: async (runId) => {
      await client.query("select pg_advisory_lock(hashtext($1))", [runId]);
      return async () => void (await client.query("select pg_advisory_unlock(hashtext($1))", [runId]));
    },
    arrivals: (count) => until(count, "and wait_event = 'advisory'"),
    waiting: (count) => until(count, ""),
    kill: async () => {
      const { rows } = await client.query(`select pg_terminate_backend(pid) ${sessions} and wait_event = 'advisory'`);
      return rows.length;
    },
    end: () => client.end(),
  };
}

export interface Cutter {
  /** A URL of the same database, through here. */
  url: string;
  /** Swallows the next answer of the server that contains the text, and cuts that connection. */
  cutAt(text: string): void;
  /** Whether the last `cutAt` has come to pass. */
  readonly hasCut: boolean;
  close(): Promise<void>;
}

/** A proxy before the server: after a cut, the client cannot know whether what it asked for was done. It was. */
export async function openCutter(databaseUrl: string): Promise<Cutter> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let cutText: string | undefined;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", end);
    }
    client.on("data", (request) => upstream.write(request));
    upstream.on("data", (answer) => {
      if (cutText === undefined || !answer.includes(cutText)) return client.write(answer);
      cutText = undefined;
      return end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    cutAt: (text) => {
      cutText = text;
    },
    get hasCut() {
      return cutText === undefined;
    },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}
