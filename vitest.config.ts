/**
 * Four kinds of test files, told apart by name:
 *
 * - `x.test.ts` (project "unit") needs nothing but Node; PGlite and the in-process transport count as nothing.
 * - `x.services.test.ts` (project "services") runs on a real PostgreSQL, RabbitMQ and Redis. They are started once, and
 *   only if such a file is among those to run; `test/services.ts` hands each file its own piece of them.
 *   `SKEIN_TEST_SERVICES=none` skips these files, `SKEIN_TEST_SERVICES=postgres` starts one server and not three.
 * - `x.sandbox.test.ts` (project "sandbox") needs bubblewrap and Debian's python3 (`test/sandbox-setup.ts`).
 * - `x.mcp.test.ts` (project "mcp") runs official programs that test MCP servers (`test/mcp-setup.ts`).
 *
 * `npx vitest run core` runs one folder, `npx vitest run --project unit` everything that needs no servers.
 */

import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";

const notOurs = [...configDefaults.exclude, "dist/**", ".skein/**"];
const servicesFiles = "**/*.services.test.ts";
const sandboxFiles = "**/*.sandbox.test.ts";
const mcpFiles = "**/*.mcp.test.ts";

/** Suites wait for servers as often as they compute: on two cores Vitest by itself would run one file at a time. */
const maxWorkers = Math.max(2, availableParallelism());

/** The examples import the package by its name, as a project of one's own does. */
const sourceOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const alias = [
  { find: /^skein$/, replacement: sourceOf("index.ts") },
  { find: /^skein\/testing$/, replacement: sourceOf("agents/executor_agents/perform-task.ts") },
];

/** What is waited for comes at once, but for machines that have other things to do. */
const expectations = { poll: { timeout: 20_000 } };

export default defineConfig({
  test: {
    maxWorkers,
    projects: [
      {
        test: {
          name: "unit",
          expect: expectations,
          alias,
          include: ["**/*.test.ts"],
          exclude: [...notOurs, servicesFiles, sandboxFiles, mcpFiles],
          // The first start of PGlite took 10 s on a busy 2-core machine.
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "services",
          expect: expectations,
          alias,
          include: [servicesFiles],
          exclude: notOurs,
          globalSetup: "test/global-setup.ts",
          runner: "test/skip-runner.ts",
          // A restart of RabbitMQ took 20 s on a busy 2-core machine.
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "mcp",
          expect: expectations,
          alias,
          include: [mcpFiles],
          exclude: notOurs,
          globalSetup: "test/mcp-setup.ts",
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "sandbox",
          expect: expectations,
          include: [sandboxFiles],
          exclude: notOurs,
          globalSetup: "test/sandbox-setup.ts",
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
