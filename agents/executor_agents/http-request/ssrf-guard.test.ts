import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../perform.suite.ts";
import { httpRequest } from "./http-request.ts";
import { guardedConnector, isPublicAddress } from "./ssrf-guard.ts";

/** Anything that reaches this listener has got inside. */
let inside: Server;
let port: number;
let connections = 0;

beforeAll(async () => {
  inside = createServer((socket) => {
    connections++;
    socket.on("error", () => {}).resume();
    socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nsecret");
  });
  // Every address of this machine, IPv4 and IPv6 where there is any.
  await new Promise<void>((resolve) => inside.listen(0, resolve));
  port = (inside.address() as { port: number }).port;
});
afterAll(() => new Promise((resolve) => inside.close(resolve)));

const lookup = async () => ["127.0.0.1"];

describe("without exceptions", () => {
  const executor = httpRequest({ lookup });

  it("the listener would have counted a connection", async () => {
    const url = `http://127.0.0.1:${port}/`;
    expect(await perform(httpRequest({ allow: [`127.0.0.1:${port}`] }), { url })).toMatchObject({ body: "secret" });
    expect(connections).toBe(1);
  });

  it("refuses a port that belongs to another protocol", async () => {
    const refused = expect.objectContaining({ code: "HTTP_TARGET_REFUSED", name: "NonRetryableError" });
    await expect(perform(executor, { url: "http://example.org:25/" })).rejects.toEqual(refused);
  });

  it("asks the system's resolver, and does not trust it either", async () => {
    const refused = {
      code: "HTTP_TARGET_REFUSED",
      message: expect.stringMatching(/localhost:\d+ leads to (127\.0\.0\.1|::1)/),
    };
    await expect(perform(httpRequest(), { url: `http://localhost:${port}/` })).rejects.toMatchObject(refused);
  });

  it("tells the operator how to allow the target", async () => {
    const url = `http://loopback.attacker.test:${port}/`;
    await expect(perform(executor, { url })).rejects.toThrow(/leads to 127\.0\.0\.1.*SKEIN_HTTP_ALLOW/);
  });
});

describe("a name that changes its address", () => {
  it("is resolved once per connection, and what was checked is what is connected to", async () => {
    const answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]];
    const asked: string[] = [];
    const executor = httpRequest({
      allow: ["127.0.0.1"],
      lookup: async (hostname) => {
        asked.push(hostname);
        return answers[asked.length - 1]!;
      },
    });
    const url = `http://rebinding.attacker.test:${port}/`;
    const before = connections;
    // No resolver of this machine knows the name: a response proves that the connection used the checked address.
    expect(await perform(executor, { url })).toMatchObject({ status: 200 });
    await expect(perform(executor, { url })).rejects.toMatchObject({ code: "HTTP_TARGET_REFUSED" });
    expect(await perform(executor, { url })).toMatchObject({ status: 200 });
    expect(asked).toHaveLength(3);
    expect(connections).toBe(before + 2);
  });
});

describe("exceptions", () => {
  const names: Record<string, string[]> = {
    "api.corp.test": ["127.0.0.1"],
    "a.b.corp.test": ["127.0.0.1"],
    "corp.test": ["127.0.0.1"],
    "evilcorp.test": ["127.0.0.1"],
    "bücher.test": ["127.0.0.1"],
    "xn--bcher-kva.test": ["127.0.0.1"],
    "api.corp.test.": ["127.0.0.1"],
  };
  const reach = (allow: string, host: string) =>
    perform(httpRequest({ allow: [allow.replace("PORT", String(port))], lookup: async (name) => names[name] ?? [] }), {
      url: `http://${host}:${port}/`,
    });

  it.each([
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1:PORT", "127.0.0.1"],
    ["127.0.0.1:PORT", "0x7f.1"],
    ["127.0.0.1:PORT", "[::ffff:127.0.0.1]"],
    ["127.0.0.0/8", "127.0.0.1"],
    ["127.0.0.0/8", "api.corp.test"],
    ["api.corp.test", "api.corp.test"],
    ["API.corp.test.:PORT", "api.corp.test."],
    ["*.corp.test", "api.corp.test"],
    ["*.corp.test:PORT", "a.b.corp.test"],
    ["bücher.test", "xn--bcher-kva.test"],
  ])("%s lets a request to %s through", async (allow, host) => {
    expect(await reach(allow, host)).toMatchObject({ status: 200 });
  });

  it.each([
    ["127.0.0.1:1", "127.0.0.1"],
    ["127.0.0.2", "127.0.0.1"],
    ["10.0.0.0/8", "127.0.0.1"],
    ["::/0", "127.0.0.1"],
    ["api.corp.test:1", "api.corp.test"],
    ["*.corp.test", "corp.test"],
    ["*.corp.test", "evilcorp.test"],
    ["*.corp.test", "127.0.0.1"],
    ["corp.test", "api.corp.test"],
  ])("%s does not let a request to %s through", async (allow, host) => {
    await expect(reach(allow, host)).rejects.toMatchObject({ code: "HTTP_TARGET_REFUSED" });
  });

  it.each([
    ["http://x"],
    ["x/y"],
    ["*"],
    ["a.*.b"],
    ["*.*.b"],
    ["x:y"],
    ["x:"],
    [""],
    ["10.0.0.0/33"],
    ["a b"],
    ["u@h"],
    ["::1/x"],
  ])("%j is refused as an exception", (entry) => {
    expect(() => guardedConnector({ allow: [entry] })).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });

  it.each([["[::1]:80"], ["::1"], ["fd00::/8"], ["localhost"], ["host_name:80"], ["*.a-b.example"]])(
    "%j is accepted as an exception",
    (entry) => {
      expect(() => guardedConnector({ allow: [entry] })).not.toThrow();
    },
  );
});

describe("isPublicAddress", () => {
  it.each([
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
  ])("holds for %s", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each([
    "",
    "localhost",
    "1.1.1",
    "fe80::1%eth0",
    "4000::1",
    "64:ff9b::10.0.0.1",
    "::ffff:0:8.8.8.8",
    "2002:808:808::1",
  ])("does not hold for %j", (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
