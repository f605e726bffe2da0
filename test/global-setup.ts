/** Starts the servers for the test files of the "services" project: once per `vitest run`, before the first of them. */

import { execFileSync } from "node:child_process";
import { relative } from "node:path";
import type { TestProject } from "vitest/node";
import { SkeinError } from "../core/errors.ts";
import { openPostgres } from "../store/postgres.ts";
import { providePython } from "./services/python.ts";
import { type ServiceName, serviceNames } from "./services/service.ts";
import { findSources } from "./services/source.ts";
import { howToGet, startFrom } from "./services.ts";

/** @throws when CI=true and a service cannot be had; a server that is there but does not start is an error everywhere */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const names = wantedServices(process.env.SKEIN_TEST_SERVICES);
  const sources = await findSources(names, process.env, console.warn);
  const missing = names.filter((name) => !sources[name]);
  if (names.length === 0 || missing.length > 0) {
    const reason = names.length === 0 ? "SKEIN_TEST_SERVICES=none" : howToGet(missing);
    return skip(project, reason);
  }
  await providePython(console.warn);
  const started = performance.now();
  // What runs as a process of its own runs as users run it: built.
  execFileSync(process.execPath, ["scripts/build.mjs", "--if-stale"], { stdio: "inherit" });
  const services = await startFrom(sources, { migrate });
  const origins = names.map((name) => `${name} (${sources[name]?.from})`).join(", ");
  console.log(`Started ${origins} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  project.provide("services", services.access);
  return services.stop;
}

/** Every test database is a copy of one that has the schema. */
async function migrate(databaseUrl: string): Promise<void> {
  const store = await openPostgres(databaseUrl);
  await store.close();
}

/** `SKEIN_TEST_SERVICES`: "none", or some of the services separated by commas to start only those; default: all. */
export function wantedServices(value: string | undefined): ServiceName[] {
  if (!value) return [...serviceNames];
  if (value === "none") return [];
  const wanted = value.split(",").map((name) => name.trim());
  const unknown = wanted.find((name) => !(serviceNames as readonly string[]).includes(name));
  if (unknown === undefined) return serviceNames.filter((name) => wanted.includes(name));
  throw new SkeinError(
    "CONFIG_INVALID",
    `SKEIN_TEST_SERVICES names "${unknown}"; it can be "none" or some of ${serviceNames.join(",")}`,
  );
}

/** Every test file is shown as skipped by skip-runner.ts; this adds the reason, at the end, where it is not overlooked. */
async function skip(project: TestProject, reason: string): Promise<() => Promise<void>> {
  if (process.env.CI === "true")
    throw new SkeinError("FEATURE_UNAVAILABLE", `The suites on real services cannot run: ${reason}`);
  const { testFiles } = await project.globTestFiles();
  const names = testFiles.map((file) => `  ${relative(project.config.root, file)}`).sort();
  project.provide("services", null);
  return async () => console.warn(`\nNOT RUN: the suites on real services: ${reason}.\n${names.join("\n")}\n`);
}
