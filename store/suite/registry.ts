import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Change } from "../store.ts";
import type { Team } from "./team.ts";

export function registryCases(open: OpenTeam): void {
  const events = async (team: Team, after = 0) => {
    const page = await team.store.agents.events(team.namespace, { after, limit: 1_000 });
    return page.events.map(({ number, type, name }) => [number, type, name]);
  };
  const silence = (team: Team, id: string, seconds = 60) =>
    team.sql.query("update agent set last_seen_at = now() - $2 * interval '1 second' where id = $1", [id, seconds]);
  const watch = async (team: Team) => {
    while ((await team.store.agents.watchPresence(100)) > 0);
  };

  it("tells of agents that come and leave, once each", async () => {
    const team = await open();
    const heard: Change[] = [];
    const stop = team.store.onChange((all) =>
      heard.push(...all.filter(({ namespace }) => namespace === team.namespace)),
    );
    const agent = await team.join({ name: "clerk" });
    await team.store.agents.leave(team.namespace, agent.id);
    await team.store.agents.leave(team.namespace, agent.id);
    stop();
    expect(heard).toEqual(Array.from({ length: 2 }, () => ({ kind: "registry", namespace: team.namespace, name: "" })));
    expect(await events(team, 1)).toEqual([
      [2, "registered", "clerk"],
      [3, "left", "clerk"],
    ]);
    expect(await team.store.agents.events(team.namespace, { after: undefined, limit: 10 })).toEqual({
      events: [],
      lastNumber: 3,
      isTooOld: false,
    });
    expect(await team.store.agents.lastNumbers([team.namespace, "nowhere"])).toEqual([3, 0]);
    expect((await team.store.agents.events(team.namespace, { after: 4, limit: 10 })).isTooOld).toBe(true);
  });

  it("tells of an agent that is lost, and that is heard of again, once each, whoever looks", async () => {
    const team = await open();
    const token = randomBytes(16);
    const { id } = await team.store.agents.register(
      {
        namespace: team.namespace,
        name: "flaky",
        kind: "external",
        door: "poll",
        capabilities: [],
        labels: {},
        slots: 1,
        version: null,
      },
      token,
    );
    await watch(team);
    const [lost, returned] = ["lost", "returned"].map((type) => [expect.any(Number), type, "flaky"]);
    expect(await events(team, 2)).toEqual([]);
    await silence(team, id);
    await Promise.all([watch(team), watch(team), watch(team)]);
    expect(await events(team, 2)).toEqual([lost]);
    await team.store.agents.authenticate(token);
    await Promise.all([watch(team), watch(team)]);
    expect(await events(team, 2)).toEqual([lost, returned]);
    await silence(team, id);
    await watch(team);
    expect(await events(team, 4)).toEqual([lost]);
    // Whoever is lost may be removed, and is not lost again.
    await team.store.agents.leave(team.namespace, id);
    await watch(team);
    expect(await events(team, 5)).toEqual([[6, "left", "flaky"]]);
  });

  it("numbers what happens at the same time one after the other, and misses none", async () => {
    const team = await open();
    const names = Array.from({ length: 20 }, (_, n) => `n${n}`);
    const agents = await Promise.all(names.map((name) => team.join({ name })));
    await Promise.all(agents.slice(10).map(({ id }) => silence(team, id)));
    await Promise.all([
      ...agents.slice(0, 10).map(({ id }) => team.store.agents.leave(team.namespace, id)),
      watch(team),
      watch(team),
    ]);
    const told = await events(team);
    expect(told.map(([number]) => number)).toEqual(Array.from({ length: 41 }, (_, n) => n + 1));
    const of = (wanted: string) => told.flatMap(([, type, name]) => (type === wanted ? name : [])).sort();
    expect([of("left"), of("lost")]).toEqual([names.slice(0, 10).sort(), names.slice(10).sort()]);
  });

  it("forgets after a week, and tells those who have seen less", async () => {
    const team = await open();
    await team.join({ name: "late" });
    await team.sql.query(
      "/* the suite's */ update registry_event set at = now() - interval '8 days' where namespace = $1 and number = 1",
      [team.namespace],
    );
    await team.store.upkeep.prune();
    const since = async (after: number) =>
      (await team.store.agents.events(team.namespace, { after, limit: 10 })).isTooOld;
    expect([await since(0), await since(1), await since(2)]).toEqual([true, false, false]);
    expect(await events(team)).toEqual([[2, "registered", "late"]]);
  });
}
