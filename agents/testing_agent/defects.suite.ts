/** A deployment with a defect: a proxy before a healthy one that spoils what goes through it. For tests of the testing agent. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A request on its way; what a defect changes in it is what the deployment hears. */
export interface Passing {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Defect {
  /** What is wrong with the deployment. */
  what: string;
  /** Spoils a request. What it returns is answered in the deployment's place, as JSON. */
  request?(passing: Passing): unknown;
  /** Spoils an answer of JSON. */
  answer?(text: string, passing: Readonly<Passing>): string;
}

export interface Defective {
  url: string;
  close(): Promise<void>;
}

/** Resolves when it listens, on 127.0.0.1. */
export async function startDefective(target: string, defect: Defect): Promise<Defective> {
  const server = createServer(async (incoming, outgoing) => {
    const { method = "GET", url: path = "/", headers } = incoming;
    const body = (await buffer(incoming)).toString();
    const passing: Passing = { method, path, headers: { ...headers }, body };
    const instead = defect.request?.(passing);
    if (instead !== undefined) {
      outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(instead));
      return;
    }
    // The body may have become another; the connections on both sides are not the same.
    const { connection: _, "content-length": __, "transfer-encoding": ___, ...kept } = passing.headers;
    const length = passing.body === "" ? {} : { "content-length": Buffer.byteLength(passing.body) };
    const forwarded = send(target + passing.path, { method: passing.method, headers: { ...kept, ...length } });
    outgoing.once("close", () => forwarded.destroy());
    forwarded.on("error", () => outgoing.destroy());
    forwarded.on("response", async (answer) => {
      const isJson = /json/.test(answer.headers["content-type"] ?? "");
      if (!defect.answer || !isJson) {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
        return;
      }
      const text = defect.answer((await buffer(answer)).toString(), passing);
      const { "content-length": _, ...others } = answer.headers;
      outgoing.writeHead(answer.statusCode!, others).end(text);
    });
    forwarded.end(passing.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type JsonBody = Record<string, unknown>;

/** Of requests to `path` (by method) a defect that changes the body. */
const changing = (passing: Passing, change: (body: JsonBody) => void): undefined => {
  const body = JSON.parse(passing.body) as JsonBody;
  change(body);
  passing.body = JSON.stringify(body);
};
const isTo = ({ method, path }: Passing, asked: string, pattern: RegExp) => method === asked && pattern.test(path);

const noConditions = ({ headers }: Passing): undefined => {
  delete headers["if-match"];
  delete headers["if-none-match"];
};

interface SeededDefect extends Defect {
  /** Scenarios that see what is not as it should be. */
  noticedBy: readonly string[];
  /** Scenarios that wait for what does not come, and the steps at which they do. */
  waitedAtBy?: Readonly<Record<string, string>>;
}

/** What can be wrong with a deployment, and the scenarios that have to fail then. */
export const defects: readonly SeededDefect[] = [
  {
    what: "swallows messages and says that they were sent",
    request(passing) {
      if (!isTo(passing, "POST", /^\/v1\/messages$/)) return undefined;
      const { messages } = JSON.parse(passing.body) as { messages: unknown[] };
      return { messages: messages.map(() => ({ id: randomUUID(), repeated: false, recipients: 2, missed: 0 })) };
    },
    noticedBy: ["message-direct", "message-topic", "message-broadcast", "request-reply"],
    waitedAtBy: { "inbox-waits": "wait by long-poll, and only then send" },
  },
  {
    what: "delivers a message again when it is sent again",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/messages$/)) return undefined;
      return changing(passing, ({ messages }) => {
        for (const message of messages as JsonBody[]) delete message.key;
      });
    },
    noticedBy: ["message-direct"],
  },
  {
    what: "writes whatever the revision",
    request: noConditions,
    noticedBy: ["agent-state", "blackboard", "artifacts", "refusals"],
  },
  {
    what: "begins a stream anew instead of resuming it",
    request: ({ headers }) => {
      delete headers["last-event-id"];
    },
    noticedBy: ["events-resumed"],
  },
  {
    what: "never tells an agent that its lease is lost",
    answer: (text, { path }) => (path === "/v1/tasks/heartbeat" ? text.replaceAll(/"(lost|cancel)"/g, '"ok"') : text),
    noticedBy: ["lease-lost", "cancel-running"],
  },
  {
    what: "accepts every report",
    answer: (text, { path }) =>
      path === "/v1/tasks/report" ? text.replaceAll(/"(stale|duplicate)"/g, '"accepted"') : text,
    noticedBy: ["own-executor", "lease-lost", "cancel-running", "report-effects"],
  },
  {
    what: "leaves the effects of a report out",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/tasks\/report$/)) return undefined;
      return changing(passing, ({ reports }) => {
        for (const report of reports as JsonBody[]) delete report.effects;
      });
    },
    noticedBy: [],
    // Nothing is wrong with the first attempt, so there is no second.
    waitedAtBy: { "report-effects": "report the next attempt rightly, twice" },
  },
  {
    what: "forgets what a claim was answered",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/tasks\/claim$/)) return undefined;
      return changing(passing, (body) => {
        body.request_id = randomUUID();
      });
    },
    noticedBy: [],
    // The task is with the first claim.
    waitedAtBy: { "long-poll": "repeat the claim, as if its answer had been lost" },
  },
  {
    what: "refuses with another code",
    answer: (text) => text.replace(/"code":"[A-Z_]+"/, '"code":"INTERNAL"'),
    noticedBy: ["bad-input", "refusals"],
  },
  {
    what: "loses what runs come to",
    answer: (text, { path }) =>
      path.endsWith("/result") ? '{"status":"completed","outputs":null,"error":null}' : text,
    noticedBy: [
      ...["hello-diamond", "failure-explained", "fan-out", "expressions", "map", "loop", "sub-workflow", "signal"],
      ...[
        "approval",
        "planned-goal",
        "replanned-goal",
        "retried-run",
        "cached-task",
        "dead-letter",
        "own-executor",
        "cancel-running",
        "conversation-task",
      ],
    ],
  },
  {
    what: "starts a run for each submit",
    request: ({ headers }) => {
      delete headers["idempotency-key"];
    },
    noticedBy: ["idempotent-submit"],
  },
  {
    what: "knows of no budgets",
    request: (passing) => {
      if (!isTo(passing, "POST", /\/runs$/)) return undefined;
      const { budget: _, ...rest } = JSON.parse(passing.body);
      passing.body = JSON.stringify(rest);
      return undefined;
    },
    noticedBy: ["budget-raised"],
  },
  {
    what: "knows of no limits",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/runs$/)) return undefined;
      passing.body = passing.body.replaceAll(/,"concurrency":\{[^}]*\}/g, "");
      return undefined;
    },
    noticedBy: ["limited-tasks"],
  },
  {
    what: "knows of no limits of wholes",
    request: (passing) => {
      passing.path = passing.path.replace("/v1/limits/%40namespace", "/v1/limits/of-nobody");
    },
    noticedBy: ["wide-limits"],
  },
  {
    what: "ends nothing that takes too long",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/runs$/)) return undefined;
      passing.body = passing.body.replaceAll(/"deadline":"1s",/g, "");
      return undefined;
    },
    noticedBy: [],
    waitedAtBy: { timers: "submit a run that would wait beyond its deadline" },
  },
  {
    what: "waits no longer than it likes",
    answer: (text, { path }) => {
      if (!/\/tasks\/pause$/.test(path)) return text;
      const task = JSON.parse(text) as JsonBody;
      return JSON.stringify({ ...task, finished_at: task.started_at });
    },
    noticedBy: ["timers"],
  },
  {
    what: "tries changes of graphs, and makes none",
    request: (passing) => {
      if (!isTo(passing, "PATCH", /\/graph$/)) return undefined;
      return changing(passing, (body) => {
        body.dry_run = true;
      });
    },
    noticedBy: ["changed-run"],
  },
  {
    what: "undoes nothing",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/runs$/)) return undefined;
      passing.body = passing.body.replaceAll(/,"compensate":\{[^{}]*(\{\{[^{}]*\}\}[^{}]*)?\}/g, "");
      return undefined;
    },
    noticedBy: [],
    waitedAtBy: { "undone-run": "undo what was booked" },
  },
  {
    what: "gives a task to whoever offers its capability",
    request: (passing) => {
      if (!isTo(passing, "POST", /^\/v1\/runs$/)) return undefined;
      passing.body = passing.body.replaceAll(',"labels":{"team":"geese"}', "");
      return undefined;
    },
    noticedBy: ["routed-task"],
  },
  {
    what: "goes on with runs, schedules and capabilities that are paused",
    request: (passing) => {
      if (!isTo(passing, "POST", /\/pause$/)) return undefined;
      passing.method = "GET";
      passing.path = passing.path.replace(/\/pause$/, "");
      passing.body = "";
      return undefined;
    },
    noticedBy: ["paused-run", "schedule", "wide-limits"],
  },
  {
    what: "forgets what has failed",
    answer: (text, { path }) => (path.startsWith("/v1/dead-letters?") ? '{"data":[],"next_cursor":null}' : text),
    noticedBy: ["dead-letter"],
  },
  {
    what: "finds everything, whatever is searched for",
    request: (passing) => {
      passing.path = passing.path.replace(/([?&])search=[^&]*/, "$1");
      return undefined;
    },
    noticedBy: ["agent-memory"],
  },
  {
    what: "draws the same picture in every format",
    request: (passing) => {
      passing.path = passing.path.replace(/format=\w+/, "format=json");
      return undefined;
    },
    noticedBy: ["pictures"],
  },
  {
    what: "tells nobody who comes and leaves",
    request: (passing) => {
      passing.path = passing.path.replace(/^\/v1\/agents\/events/, "/v1/memory/nobody-writes-here");
      return undefined;
    },
    noticedBy: [],
    waitedAtBy: { "registry-watched": "begin to watch", "agent-lost": "begin to watch" },
  },
  {
    what: "hears what breaks the rules of a conversation, and takes it",
    request(passing) {
      if (!isTo(passing, "POST", /^\/v1\/conversations\/[^/]+\/messages$/)) return undefined;
      return changing(passing, ({ body }) => {
        delete (body as JsonBody).from;
      });
    },
    noticedBy: ["conversation"],
  },
  {
    what: "has no MCP server",
    request: (passing) => {
      passing.path = passing.path.replace(/^\/mcp/, "/nowhere");
      return undefined;
    },
    noticedBy: ["mcp-client", "mcp-executor"],
  },
];
