import { describe, expect, it } from "vitest";
import { wantedServices } from "../global-setup.ts";
import { chooseSource, type Machine } from "./source.ts";

const everything: Machine = {
  env: { DATABASE_URL: "postgres://db.example/skein" },
  binaries: { postgres: "/usr/bin/postgres", redis: "/usr/bin/redis-server" },
  canApt: true,
  canDocker: true,
};

describe("chooseSource", () => {
  it("prefers the URL in the environment to everything else", () => {
    expect(chooseSource("postgres", everything)).toEqual({ from: "url", url: "postgres://db.example/skein" });
  });

  it("takes an empty variable for an absent one", () => {
    const machine = { ...everything, env: { DATABASE_URL: "" } };
    expect(chooseSource("postgres", machine)).toEqual({ from: "binary", path: "/usr/bin/postgres" });
  });

  it("prefers an installed binary to installing one", () => {
    expect(chooseSource("redis", everything)).toEqual({ from: "binary", path: "/usr/bin/redis-server" });
  });

  it("prefers apt to Docker", () => {
    expect(chooseSource("rabbitmq", everything)).toEqual({ from: "apt", package: "rabbitmq-server" });
  });

  it("uses Docker where apt is not possible", () => {
    const machine = { ...everything, canApt: false };
    expect(chooseSource("rabbitmq", machine)).toEqual({ from: "docker", image: "rabbitmq:4" });
  });

  it("says that there is nothing rather than inventing something", () => {
    expect(chooseSource("rabbitmq", { ...everything, canApt: false, canDocker: false })).toBeUndefined();
  });
});

describe("SKEIN_TEST_SERVICES", () => {
  it("means all services when it is not set", () => {
    expect(wantedServices(undefined)).toEqual(["postgres", "rabbitmq", "redis"]);
    expect(wantedServices("")).toEqual(["postgres", "rabbitmq", "redis"]);
  });

  it("can name some of them, or none", () => {
    expect(wantedServices("redis, postgres")).toEqual(["postgres", "redis"]);
    expect(wantedServices("none")).toEqual([]);
  });

  it("refuses a name it does not know", () => {
    expect(() => wantedServices("postgres,kafka")).toThrow(/"kafka"/);
  });
});
