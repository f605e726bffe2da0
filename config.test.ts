import { describe, expect, it } from "vitest";
import { loadConfig } from "./config.ts";
import type { SkeinError } from "./core/errors.ts";
import { defaultLimits } from "./core/limits.ts";

function flawsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    expect(error).toMatchObject({ code: "CONFIG_INVALID" });
    return (error as SkeinError).issues.map(({ message }) => message);
  }
}

describe("loadConfig", () => {
  it("has a default for everything that can have one, also where a variable is empty", () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      databaseUrl: undefined,
      port: 8080,
      host: "127.0.0.1",
      logLevel: "info",
      dataDir: ".skein",
      allowedHosts: [],
      databaseConnections: 10,
      blobs: undefined,
      maxStreams: 1_000,
      executor: {
        slots: 16,
        capabilities: undefined,
        labels: {},
        llm: undefined,
        mcpServers: {},
        sandbox: "off",
        handOff: false,
        drainMs: 20_000,
      },
      planning: { repairs: 3, tokens: 100_000, timeMs: 60_000, cassettes: undefined },
      limits: defaultLimits,
    });
    expect(config.executor.name).toMatch(new RegExp(`-${process.pid}$`));
    expect(loadConfig({ PORT: "", DATABASE_URL: "", SKEIN_MAX_TASKS_PER_RUN: "" })).toEqual(config);
  });

  it("reads numbers, lists, flags and limits", () => {
    const config = loadConfig({
      PORT: " 0 ",
      SKEIN_ALLOWED_HOSTS: "a.example, b.example:8080,,",
      SKEIN_HANDOFF: "true",
      SKEIN_CAPABILITIES: "core.echo",
      SKEIN_MAX_TASKS_PER_RUN: "5",
      SKEIN_MAX_OUTPUT_BYTES: "1000",
    });
    expect(config.port).toBe(0);
    expect(config.allowedHosts).toEqual(["a.example", "b.example:8080"]);
    expect(config.executor).toMatchObject({ handOff: true, capabilities: ["core.echo"] });
    expect(config.limits).toEqual({ ...defaultLimits, tasksPerRun: 5, outputBytes: 1_000 });
  });

  it("reads what the executors with effects are allowed", () => {
    const secret = `whsec_${Buffer.alloc(32).toString("base64")}`;
    const { executor } = loadConfig({
      SKEIN_SQL_DATABASES: '{"a": "postgres://h/a", "b": {"url": "postgresql://h/b", "write": true}}',
      SKEIN_SMTP_URL: "smtps://user:secret@mail.example",
      SKEIN_SMTP_FROM: "Skein <skein@example.org>",
      SKEIN_SMTP_RECIPIENT_DOMAINS: "example.org, *.example.com",
      SKEIN_WEBHOOK_SECRETS: JSON.stringify({ one: secret, two: [secret, secret] }),
    });
    expect(executor).toMatchObject({
      sqlDatabases: {
        a: { url: "postgres://h/a", write: false, privileged: false },
        b: { url: "postgresql://h/b", write: true, privileged: false },
      },
      smtp: {
        url: "smtps://user:secret@mail.example",
        from: "Skein <skein@example.org>",
        recipientDomains: ["example.org", "*.example.com"],
      },
      webhookSecrets: { one: [secret], two: [secret, secret] },
    });
    expect(loadConfig({}).executor).toMatchObject({
      sqlDatabases: undefined,
      smtp: undefined,
      webhookSecrets: undefined,
    });
  });

  it.each<[string, string]>([
    ["SKEIN_SQL_DATABASES", "secret"],
    ["SKEIN_SQL_DATABASES", "[]"],
    ["SKEIN_SQL_DATABASES", '{"a": "mysql://secret"}'],
    ["SKEIN_SQL_DATABASES", '{"a secret": "postgres://h"}'],
    ["SKEIN_SQL_DATABASES", '{"a": {"url": "postgres://h", "secret": true}}'],
    ["SKEIN_SMTP_URL", "secret"],
    ["SKEIN_SMTP_FROM", "secret"],
    ["SKEIN_WEBHOOK_SECRETS", '{"a": "secret"}'],
    ["SKEIN_WEBHOOK_SECRETS", '{"a": "whsec_c2VjcmV0"}'],
    ["SKEIN_WEBHOOK_SECRETS", '{"a": []}'],
  ])("refuses %s=%s without quoting it", (name, value) => {
    const flaws = flawsOf({ [name]: value });
    expect(flaws).toEqual([expect.stringMatching(`^${name} must be `)]);
    expect(flaws.join()).not.toContain("secret");
  });

  it("refuses a mail server without a sender", () => {
    expect(flawsOf({ SKEIN_SMTP_URL: "smtp://h" })).toEqual([expect.stringMatching("^SKEIN_SMTP_FROM must be set")]);
  });

  it("reads where large contents go, and with which key", () => {
    const keyed = { SKEIN_BLOBS_KEY_ID: "id", SKEIN_BLOBS_SECRET: "secret" };
    const url = "https://s3.example.org/skein/large";
    expect(loadConfig({ SKEIN_BLOBS_URL: url, ...keyed }).blobs).toEqual({
      url,
      accessKeyId: "id",
      secretAccessKey: "secret",
      region: "us-east-1",
    });
    expect(loadConfig({ ...keyed }).blobs).toBeUndefined();
    expect(flawsOf({ SKEIN_BLOBS_URL: url, SKEIN_BLOBS_KEY_ID: "id" })).toEqual([
      expect.stringMatching("^SKEIN_BLOBS_SECRET must be set"),
    ]);
    expect(flawsOf({ SKEIN_BLOBS_URL: "s3://skein", ...keyed })).toEqual([
      expect.stringMatching("^SKEIN_BLOBS_URL must be a URL"),
    ]);
  });

  it("reads where texts are made vectors, whole or not at all", () => {
    const there = { SKEIN_EMBEDDINGS_URL: "http://models.example/v1", SKEIN_EMBEDDINGS_MODEL: "small" };
    const embeddings = { baseUrl: "http://models.example/v1", model: "small", apiKey: undefined };
    expect(loadConfig(there).embeddings).toEqual(embeddings);
    expect(loadConfig({ ...there, SKEIN_EMBEDDINGS_KEY: "k" }).embeddings).toEqual({ ...embeddings, apiKey: "k" });
    expect(loadConfig({ OPENAI_BASE_URL: "http://models.example/v1" }).embeddings).toBeUndefined();
    const missing = (name: string) => [expect.stringMatching(`^${name} must be set`)];
    const { SKEIN_EMBEDDINGS_URL, SKEIN_EMBEDDINGS_MODEL } = there;
    expect(flawsOf({ SKEIN_EMBEDDINGS_URL })).toEqual(missing("SKEIN_EMBEDDINGS_MODEL"));
    expect(flawsOf({ SKEIN_EMBEDDINGS_MODEL })).toEqual(missing("SKEIN_EMBEDDINGS_URL"));
  });

  it("reads where models are asked, at what price, and which MCP servers there are", () => {
    const files = { command: "files", args: ["/data"] };
    const search = { url: "https://search.example/mcp", headers: { authorization: "Bearer x" } };
    const { executor } = loadConfig({
      OPENAI_BASE_URL: "http://models.example/v1",
      OPENAI_API_KEY: "sk-1",
      SKEIN_LLM_MODEL: "small",
      SKEIN_LLM_PRICES: "small=0.15:0.6, llama:8b=0:0",
      SKEIN_MCP_SERVERS: JSON.stringify({ files, search }),
    });
    expect(executor.llm).toEqual({
      baseUrl: "http://models.example/v1",
      apiKey: "sk-1",
      model: "small",
      prices: new Map([
        ["small", { input: 0.15, output: 0.6 }],
        ["llama:8b", { input: 0, output: 0 }],
      ]),
    });
    expect(executor.mcpServers).toEqual({ files: { ...files, env: {} }, search });
    expect(loadConfig({ OPENAI_API_KEY: "sk-1" }).executor.llm).toBeUndefined();
  });

  it("reads how a model plans", () => {
    const { planning } = loadConfig({
      SKEIN_PLAN_REPAIRS: "0",
      SKEIN_PLAN_TOKENS: "5000",
      SKEIN_PLAN_TIMEOUT_MS: "100",
      SKEIN_LLM_CASSETTES: "tapes",
      SKEIN_LLM_CASSETTE_MODE: "replay",
    });
    const cassettes = { folder: "tapes", mode: "replay" };
    expect(planning).toEqual({ repairs: 0, tokens: 5_000, timeMs: 100, cassettes });
  });

  it("names every variable that is wrong, and what it should be, but never its value", () => {
    const env = {
      PORT: "80x",
      LOG_LEVEL: "loud",
      DATABASE_URL: "mysql://user:secret@host/db",
      SKEIN_HANDOFF: "yes",
      SKEIN_SANDBOX: "docker",
    };
    expect(flawsOf(env)).toEqual([
      "DATABASE_URL must be a URL that begins with postgres:// or postgresql://",
      "PORT must be a whole number from 0 to 65,535",
      "LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent",
      "SKEIN_SANDBOX must be one of off, bubblewrap",
      "SKEIN_HANDOFF must be one of 0, 1, true, false",
    ]);
    expect(flawsOf(env).join()).not.toContain("secret");
  });

  it.each([
    ["PORT", "65536"],
    ["PORT", "-1"],
    ["PORT", "0x50"],
    ["PORT", "8e3"],
    ["PORT", "80.0"],
    ["AMQP_URL", "localhost:5672"],
    ["REDIS_URL", "http://localhost"],
    ["SKEIN_SLOTS", "0"],
    ["SKEIN_MAX_JSON_DEPTH", "5000"],
    ["SKEIN_MAX_DEFINITION_BYTES", "1000000000"],
    ["SKEIN_ADMIN_KEY", "short"],
    ["SKEIN_ADMIN_KEY", "sixteen and more characters"],
    ["OPENAI_BASE_URL", "models.example"],
    ["OPENAI_BASE_URL", "http://user:password@models.example"],
    ["OPENAI_API_KEY", "two words"],
    ["SKEIN_LLM_PRICES", "small=1"],
    ["SKEIN_PLAN_REPAIRS", "11"],
    ["SKEIN_PLAN_TIMEOUT_MS", "1"],
    ["SKEIN_LLM_CASSETTE_MODE", "play"],
    ["SKEIN_LLM_PRICES", "small=1:2,=1:2"],
    ["SKEIN_LLM_PRICES", "small=-1:2"],
    ["SKEIN_MCP_SERVERS", "files"],
    ["SKEIN_MCP_SERVERS", '{"a b":{"command":"x"}}'],
    ["SKEIN_MCP_SERVERS", '{"a":{"command":"x","url":"http://x"}}'],
    ["SKEIN_MCP_SERVERS", '{"a":{"url":"file:///x"}}'],
    ["SKEIN_AGENT_NAME", "x".repeat(129)],
  ])("refuses %s=%s", (name, value) => {
    expect(flawsOf({ [name]: value })).toEqual([expect.stringMatching(`^${name} must `)]);
  });
});
