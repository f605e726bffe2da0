/** The environment, read once into a typed Config. Every wrong variable is named at once, with what it should be. */
import { hostname } from "node:os";
import { z } from "zod";
import { EMAIL_FORMS, parseEmailAddress } from "./core/email-address.ts";
import { type Issue, SkeinError } from "./core/errors.ts";
import { defaultLimits, formatCount, type LimitName, type Limits, limitKey } from "./core/limits.ts";

const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number from ${formatCount(min)} to ${formatCount(max)}`;
  return z
    .string()
    .refine((text) => /^\s*\d+\s*$/.test(text) && Number(text) >= min && Number(text) <= max, { error })
    .transform(Number);
};
const oneOf = <T extends string>(...values: [T, ...T[]]) =>
  z.enum(values, { error: `must be one of ${values.join(", ")}` });
const url = (protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`,
  });
/** Credentials in it would stand in messages; `fetch` refuses them, too. */
const endpoint = url(["http:", "https:"]).refine((text) => !URL.canParse(text) || !new URL(text).username, {
  error: "must hold no credentials",
});
const list = z.string().transform((text) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);
/** JSON in one variable. What is wrong in it is not quoted: it holds secrets. */
const json = <T>(schema: z.ZodType<T>, shape: string) =>
  z.string().transform((text, context) => {
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    context.addIssue({ code: "custom", message: `must be JSON of the form ${shape}` });
    return z.NEVER;
  });
const prices = list.transform((entries, context) => {
  const price = /^(.+)=(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/;
  const found = entries.map((entry) => price.exec(entry));
  if (found.includes(null)) {
    context.addIssue("must be a list such as model-a=0.15:0.6,model-b=2:8, in USD per million tokens in and out");
    return z.NEVER;
  }
  return new Map(found.map((parts) => [parts![1]!.trim(), { input: Number(parts![2]), output: Number(parts![3]) }]));
});
const mcpServer = z.union([
  z.strictObject({
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    env: z.record(z.string(), z.string()).default({}),
  }),
  z.strictObject({ url: endpoint, headers: z.record(z.string(), z.string()).default({}) }),
]);
const mcpServers = z.string().transform((text, context) => {
  const parsed = z.record(z.string().regex(/^[A-Za-z0-9_-]{1,32}$/), mcpServer).safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]!.path.join("/");
  context.addIssue(
    `must be a JSON object from names (letters, digits, "_" and "-", at most 32) to {"command", "args", "env"} or ` +
      `{"url", "headers"}${where && `; /${where} is not`}`,
  );
  return z.NEVER;
});
const labels = list.transform((entries, context) => {
  const pairs = entries.map((entry) => /^([^=]+)=(.*)$/.exec(entry));
  if (!pairs.includes(null)) return Object.fromEntries(pairs.map((pair) => [pair![1]!.trim(), pair![2]!.trim()]));
  context.addIssue("must be a list such as gpu=true,region=eu");
  return z.NEVER;
});
const flag = oneOf("0", "1", "true", "false").transform((text) => text === "1" || text === "true");

const MAX_COUNT = 2 ** 31 - 1;
/** `JSON.stringify` gives up at some 5,000 levels, and a string ends at 512 MiB. */
const MAX_JSON_LEVELS = 1_000;
const MAX_BYTES = 256 * 1024 * 1024;

const limits = Object.fromEntries(
  Object.entries(defaultLimits).map(([name, value]) => {
    const max = name === "jsonDepth" ? MAX_JSON_LEVELS : name.endsWith("Bytes") ? MAX_BYTES : MAX_COUNT;
    return [limitKey(name as LimitName), wholeNumber(1, max).default(value)];
  }),
);

/** Of what a task may name: a database, a secret. */
const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/);

const postgresUrl = url(["postgres:", "postgresql:"]);
const sqlDatabases = z.record(
  name,
  z.union([
    postgresUrl.transform((text) => ({ url: text, write: false, privileged: false })),
    z.strictObject({ url: postgresUrl, write: z.boolean().default(false), privileged: z.boolean().default(false) }),
  ]),
);

/** Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes. */
const webhookSecret = z.string().refine((text) => {
  const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const bytes = Buffer.from(base64, "base64");
  return bytes.toString("base64") === base64 && bytes.length >= 24 && bytes.length <= 64;
});
const webhookSecrets = z.record(
  name,
  z.union([webhookSecret.transform((one) => [one]), z.array(webhookSecret).min(1).max(4)]),
);

const headerValue = z
  .string()
  .regex(/^[\x21-\x7e]+$/, { error: "must have only letters, digits and signs, without spaces" });

const environment = z.object({
  DATABASE_URL: url(["postgres:", "postgresql:"]).optional(),
  AMQP_URL: url(["amqp:", "amqps:"]).optional(),
  REDIS_URL: url(["redis:", "rediss:"]).optional(),
  PORT: wholeNumber(0, 65_535).default(8080),
  HOST: z.string().min(1).default("127.0.0.1"),
  LOG_LEVEL: oneOf("fatal", "error", "warn", "info", "debug", "trace", "silent").default("info"),
  SKEIN_URL: url(["http:", "https:"]).optional(),
  SKEIN_API_KEY: z.string().min(1).optional(),
  // It has to fit into a header, as a bearer token.
  SKEIN_ADMIN_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, { error: "must be at least 16 letters, digits or signs, without spaces" })
    .optional(),
  SKEIN_DATA_DIR: z.string().min(1).default(".skein"),
  SKEIN_ALLOWED_HOSTS: list.default([]),
  SKEIN_DATABASE_CONNECTIONS: wholeNumber(1, 1_000).default(10),
  SKEIN_BLOBS_URL: endpoint.optional(),
  SKEIN_BLOBS_KEY_ID: z.string().min(1).optional(),
  SKEIN_BLOBS_SECRET: z.string().min(1).optional(),
  SKEIN_BLOBS_REGION: z.string().min(1).default("us-east-1"),
  SKEIN_MAX_STREAMS: wholeNumber(1, 1_000_000).default(1_000),
  SKEIN_SLOTS: wholeNumber(1, 100_000).default(16),
  SKEIN_CAPABILITIES: list.optional(),
  SKEIN_LABELS: labels.default({}),
  SKEIN_AGENT_NAME: z
    .string()
    .max(128, { error: "must have at most 128 characters" })
    .default(`${hostname()}-${process.pid}`),
  SKEIN_HTTP_ALLOW: list.default([]),
  SKEIN_SQL_DATABASES: json(
    sqlDatabases,
    '{"name": "postgres://…"} or {"name": {"url": "postgres://…", "write": true, "privileged": true}}',
  ).optional(),
  SKEIN_SMTP_URL: url(["smtp:", "smtps:"]).optional(),
  SKEIN_SMTP_FROM: z
    .string()
    .refine((text) => parseEmailAddress(text) !== undefined, { error: `must be ${EMAIL_FORMS}` })
    .optional(),
  SKEIN_SMTP_RECIPIENT_DOMAINS: list.default([]),
  SKEIN_WEBHOOK_SECRETS: json(
    webhookSecrets,
    '{"name": "whsec_…"} or {"name": ["whsec_…new", "whsec_…old"]}, of 24 to 64 bytes in base64',
  ).optional(),
  OPENAI_BASE_URL: endpoint.optional(),
  OPENAI_API_KEY: headerValue.optional(),
  SKEIN_LLM_MODEL: z.string().optional(),
  SKEIN_LLM_CASSETTES: z.string().min(1).optional(),
  SKEIN_LLM_CASSETTE_MODE: oneOf("record", "replay").default("record"),
  SKEIN_PLAN_REPAIRS: wholeNumber(0, 10).default(3),
  SKEIN_PLAN_TOKENS: wholeNumber(1, 10_000_000).default(100_000),
  SKEIN_PLAN_TIMEOUT_MS: wholeNumber(100, 600_000).default(60_000),
  SKEIN_LLM_PRICES: prices.default(new Map()),
  SKEIN_EMBEDDINGS_URL: endpoint.optional(),
  SKEIN_EMBEDDINGS_MODEL: z.string().min(1).optional(),
  SKEIN_EMBEDDINGS_KEY: headerValue.optional(),
  SKEIN_MCP_SERVERS: mcpServers.default({}),
  SKEIN_MCP_FIXTURES: flag.default(false),
  SKEIN_SANDBOX: oneOf("off", "bubblewrap").default("off"),
  SKEIN_HANDOFF: flag.default(false),
  SKEIN_HEALTH_FILE: z.string().min(1).optional(),
  SKEIN_DRAIN_MS: wholeNumber(0, MAX_COUNT).default(20_000),
  ...limits,
});

export interface Config {
  databaseUrl: string | undefined;
  amqpUrl: string | undefined;
  redisUrl: string | undefined;
  /** Where the orchestrator listens. */
  port: number;
  host: string;
  logLevel: z.infer<typeof environment>["LOG_LEVEL"];
  /** Where the server is, for the CLI, the SDK and executors. */
  serverUrl: string | undefined;
  apiKey: string | undefined;
  adminKey: string | undefined;
  dataDir: string;
  /** Names this server answers to, beside loopback ones. */
  allowedHosts: string[];
  databaseConnections: number;
  /** An S3-compatible store for large contents. Undefined: they are in the database. */
  blobs: { url: string; accessKeyId: string; secretAccessKey: string; region: string } | undefined;
  /** Event streams one server serves at a time; each may hold a database query now and then. */
  maxStreams: number;
  executor: {
    name: string;
    slots: number;
    /** Undefined: all that are built in. */
    capabilities: string[] | undefined;
    /** What tasks can choose this agent by. */
    labels: Record<string, string>;
    /** Hosts, host:port or CIDR ranges that `http.request` may reach though they are internal. */
    httpAllow: string[];
    /** What `sql.query` may reach, by the names that tasks use. Undefined: there is no `sql.query`. */
    sqlDatabases: z.output<typeof sqlDatabases> | undefined;
    /** How `email.send` sends, and to whom; without domains to anybody. Undefined: there is no `email.send`. */
    smtp: { url: string; from: string; recipientDomains: string[] } | undefined;
    /** What `webhook.send` signs with, by the names that tasks use. Undefined: there is no `webhook.send`. */
    webhookSecrets: z.output<typeof webhookSecrets> | undefined;
    /** Where models are asked. Undefined: nowhere. */
    llm: LlmConfig | undefined;
    /** MCP servers that tasks may name, and how to reach each. */
    mcpServers: z.infer<typeof environment>["SKEIN_MCP_SERVERS"];
    /** What `code.python` and `shell.command` run in; off, they are not offered. */
    sandbox: "off" | "bubblewrap";
    /** Take new work with the answer to a report, past the broker. */
    handOff: boolean;
    drainMs: number;
    /** Touched whenever the server answers a heartbeat, for health checks from outside. */
    healthFile: string | undefined;
  };
  /** Where texts are made vectors, so that memory can be searched by meaning. Undefined: nowhere. */
  embeddings: { baseUrl: string; model: string; apiKey: string | undefined } | undefined;
  /** `/mcp` also offers what the official conformance suite calls. */
  mcpFixtures: boolean;
  /** How a model plans. */
  planning: {
    repairs: number;
    tokens: number;
    timeMs: number;
    /** Where what a model answers is recorded, or replayed from. */
    cassettes: { folder: string; mode: "record" | "replay" } | undefined;
  };
  limits: Limits;
}

interface LlmConfig {
  baseUrl: string;
  apiKey: string | undefined;
  /** For tasks that name none. */
  model: string | undefined;
  /** USD per million tokens, by model. */
  prices: ReadonlyMap<string, { input: number; output: number }>;
}

/** Throws CONFIG_INVALID listing every variable that is wrong. Empty variables count as unset. */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = environment.safeParse(set);
  if (!parsed.success) throw invalid(parsed.error.issues);
  const { SKEIN_SMTP_URL: smtpUrl, SKEIN_SMTP_FROM: from } = parsed.data as z.infer<typeof environment>;
  if (smtpUrl !== undefined && from === undefined) {
    const message = `must be set, too, where SKEIN_SMTP_URL is: ${EMAIL_FORMS}`;
    throw invalid([{ code: "custom", path: ["SKEIN_SMTP_FROM"], message, input: undefined }]);
  }
  const { SKEIN_EMBEDDINGS_URL: embeddingsUrl, SKEIN_EMBEDDINGS_MODEL: embeddingsModel } = parsed.data as z.infer<
    typeof environment
  >;
  if ((embeddingsUrl === undefined) !== (embeddingsModel === undefined)) {
    const [missing, there] =
      embeddingsUrl === undefined
        ? ["SKEIN_EMBEDDINGS_URL", "SKEIN_EMBEDDINGS_MODEL"]
        : ["SKEIN_EMBEDDINGS_MODEL", "SKEIN_EMBEDDINGS_URL"];
    const message = `must be set, too, where ${there} is`;
    throw invalid([{ code: "custom", path: [missing], message, input: undefined }]);
  }
  const values = parsed.data as z.infer<typeof environment> & Record<string, unknown>;
  const keyless = (["SKEIN_BLOBS_KEY_ID", "SKEIN_BLOBS_SECRET"] as const).filter((name) => values[name] === undefined);
  if (values.SKEIN_BLOBS_URL !== undefined && keyless.length > 0) {
    const message = "must be set, too, where SKEIN_BLOBS_URL is";
    throw invalid(keyless.map((name) => ({ code: "custom", path: [name], message, input: undefined })));
  }
  return {
    databaseUrl: values.DATABASE_URL,
    amqpUrl: values.AMQP_URL,
    redisUrl: values.REDIS_URL,
    port: values.PORT,
    host: values.HOST,
    logLevel: values.LOG_LEVEL,
    serverUrl: values.SKEIN_URL,
    apiKey: values.SKEIN_API_KEY,
    adminKey: values.SKEIN_ADMIN_KEY,
    dataDir: values.SKEIN_DATA_DIR,
    allowedHosts: values.SKEIN_ALLOWED_HOSTS,
    databaseConnections: values.SKEIN_DATABASE_CONNECTIONS,
    blobs:
      values.SKEIN_BLOBS_URL === undefined
        ? undefined
        : {
            url: values.SKEIN_BLOBS_URL,
            accessKeyId: values.SKEIN_BLOBS_KEY_ID!,
            secretAccessKey: values.SKEIN_BLOBS_SECRET!,
            region: values.SKEIN_BLOBS_REGION,
          },
    maxStreams: values.SKEIN_MAX_STREAMS,
    executor: {
      name: values.SKEIN_AGENT_NAME,
      slots: values.SKEIN_SLOTS,
      capabilities: values.SKEIN_CAPABILITIES,
      labels: values.SKEIN_LABELS,
      httpAllow: values.SKEIN_HTTP_ALLOW,
      sqlDatabases: values.SKEIN_SQL_DATABASES,
      smtp:
        smtpUrl === undefined
          ? undefined
          : { url: smtpUrl, from: from!, recipientDomains: values.SKEIN_SMTP_RECIPIENT_DOMAINS },
      webhookSecrets: values.SKEIN_WEBHOOK_SECRETS,
      llm: values.OPENAI_BASE_URL
        ? {
            baseUrl: values.OPENAI_BASE_URL,
            apiKey: values.OPENAI_API_KEY,
            model: values.SKEIN_LLM_MODEL,
            prices: values.SKEIN_LLM_PRICES,
          }
        : undefined,
      mcpServers: values.SKEIN_MCP_SERVERS,
      sandbox: values.SKEIN_SANDBOX,
      handOff: values.SKEIN_HANDOFF,
      drainMs: values.SKEIN_DRAIN_MS,
      healthFile: values.SKEIN_HEALTH_FILE,
    },
    embeddings:
      embeddingsUrl === undefined
        ? undefined
        : { baseUrl: embeddingsUrl, model: embeddingsModel!, apiKey: values.SKEIN_EMBEDDINGS_KEY },
    mcpFixtures: values.SKEIN_MCP_FIXTURES,
    planning: {
      repairs: values.SKEIN_PLAN_REPAIRS,
      tokens: values.SKEIN_PLAN_TOKENS,
      timeMs: values.SKEIN_PLAN_TIMEOUT_MS,
      cassettes:
        values.SKEIN_LLM_CASSETTES === undefined
          ? undefined
          : { folder: values.SKEIN_LLM_CASSETTES, mode: values.SKEIN_LLM_CASSETTE_MODE },
    },
    limits: Object.fromEntries(
      (Object.keys(defaultLimits) as LimitName[]).map((name) => [name, values[limitKey(name)]]),
    ) as Limits,
  };
}

function invalid(flaws: z.core.$ZodIssue[]): SkeinError {
  const issues = flaws.map((flaw): Issue => {
    const name = String(flaw.path[0]);
    return { code: "CONFIG_INVALID", message: `${name} ${flaw.message}`, pointer: `/${name}` };
  });
  return new SkeinError("CONFIG_INVALID", issues.map((issue) => issue.message).join("; "), { issues });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
