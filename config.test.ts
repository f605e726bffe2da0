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
      maxStreams: 1_000,
      executor: { slots: 16, capabilities: undefined, sandbox: "off", handOff: false, drainMs: 20_000 },
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
    ["SKEIN_AGENT_NAME", "x".repeat(129)],
  ])("refuses %s=%s", (name, value) => {
    expect(flawsOf({ [name]: value })).toEqual([expect.stringMatching(`^${name} must `)]);
  });
});
