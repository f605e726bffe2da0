import { randomBytes, randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";

export function keyCases(open: OpenTeam): void {
  const newKey = (namespace: string, expiresAt: Date | null = null) => ({
    namespace,
    name: "laptop",
    prefix: "sk_abc",
    scopes: ["runs:read", "work"],
    capabilities: null as string[] | null,
    expiresAt,
  });

  it("authenticate until they are revoked", async () => {
    const { store, namespace } = await open();
    const hash = randomBytes(32);
    const key = await store.keys.create(newKey(namespace), hash);
    expect(key).toMatchObject(newKey(namespace));
    expect(await store.keys.authenticate(hash)).toEqual(key);
    expect(await store.keys.authenticate(randomBytes(32))).toBeUndefined();
    expect(await store.keys.revoke(namespace, key.id)).toBe(true);
    expect(await store.keys.revoke(namespace, key.id)).toBe(false);
    expect(await store.keys.revoke(namespace, randomUUID())).toBe(false);
    expect(await store.keys.authenticate(hash)).toBeUndefined();
    expect((await store.keys.list(namespace, {})).data).toEqual([]);
  });

  it("expire", async () => {
    const { store, namespace } = await open();
    const [past, future] = [randomBytes(32), randomBytes(32)];
    await store.keys.create(newKey(namespace, new Date("2020-01-01")), past);
    await store.keys.create(newKey(namespace, new Date("2999-01-01")), future);
    expect(await store.keys.authenticate(past)).toBeUndefined();
    expect(await store.keys.authenticate(future)).toMatchObject({ expiresAt: new Date("2999-01-01") });
  });

  it("are created once when a creation is repeated", async () => {
    const { store, namespace } = await open();
    const hash = randomBytes(32);
    const first = await store.keys.create(newKey(namespace), hash);
    expect(await store.keys.create(newKey(namespace), hash)).toEqual(first);
  });

  it("never answer with their hash", async () => {
    const { store, namespace } = await open();
    const key = await store.keys.create(newKey(namespace), randomBytes(32));
    expect(Object.keys(key).sort()).toEqual([
      "capabilities",
      "createdAt",
      "expiresAt",
      "id",
      "name",
      "namespace",
      "prefix",
      "scopes",
    ]);
  });
}
