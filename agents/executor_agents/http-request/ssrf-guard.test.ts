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

/** Names as an attacker would register them. */
const hostileNames: Record<string, string[]> = {
  "loopback.attacker.test": ["127.0.0.1"],
  "loopback6.attacker.test": ["::1"],
  "mapped.attacker.test": ["::ffff:127.0.0.1"],
  "nat64.attacker.test": ["64:ff9b::7f00:1"],
  "private.attacker.test": ["10.0.0.1"],
  "metadata.attacker.test": ["169.254.169.254"],
  "zone.attacker.test": ["fe80::1%lo"],
  "unspecified.attacker.test": ["0.0.0.0"],
  "one-of-two.attacker.test": ["93.184.215.14", "127.0.0.1"],
  "one-of-two-6.attacker.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
  "empty.attacker.test": [],
  localhost: ["127.0.0.1", "::1"],
  "localhost.": ["127.0.0.1"],
  "ip6-localhost": ["::1"],
  "127.0.0.1.nip.test": ["127.0.0.1"],
};
const lookup = async (hostname: string) =>
  hostileNames[hostname] ?? Promise.reject(new Error(`no such name ${hostname}`));

const hostileHosts = [
  ...[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
  ],
  ...[
    "017700000001",
    "0177.0.0.1",
    "0177.0x0.1",
    "00000177.1",
    "127.0x1",
    "0x7F.0x0.0x0.0x1",
    "%31%32%37.0.0.1",
    "127。0。0。1",
  ],
  ...[
    "①②⑦.⓪.⓪.①",
    "１２７.0.0.1",
    "127.0.0.1%2e",
    "0",
    "0.0.0.0",
    "0x0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "0xa.1",
  ],
  ...[
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "3232235521",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
  ],
  ...[
    "169.254.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
  ],
  ...["198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
  ...[
    "168.63.129.16",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
  ],
  ...[
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
  ],
  ...[
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::80ff:fffe]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
  ],
  ...[
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[::ffff:10.0.0.1]",
  ],
  ...Object.keys(hostileNames),
];
const hostileUrls = [
  ...hostileHosts.map((host) => (portOfListener: number) => `http://${host}:${portOfListener}/`),
  ...["localhost", "127.0.0.1", "[::1]"].map(
    (host) => (portOfListener: number) => `https://${host}:${portOfListener}/`,
  ),
  (p: number) => `http://user:pass@127.0.0.1:${p}/`,
  (p: number) => `http://example.org@127.0.0.1:${p}/`,
  (p: number) => `http://127.0.0.1:${p}#@example.org/`,
  (p: number) => `http:\\\\127.0.0.1:${p}\\`,
  (p: number) => `http:127.0.0.1:${p}`,
  (p: number) => `  http://127.0.0.1:${p}/\n`,
  (p: number) => `ht\ntp://127.0.0.1:${p}/`,
  (p: number) => `HTTP://LOCALHOST:${p}/`,
  (p: number) => `ws://127.0.0.1:${p}/`,
  (p: number) => `ftp://127.0.0.1:${p}/`,
  (p: number) => `gopher://127.0.0.1:${p}/_GET`,
  () => "file:///etc/passwd",
  () => "data:text/plain,hello",
  () => "javascript:alert(1)",
  () => "blob:http://127.0.0.1/x",
  () => "//127.0.0.1/",
  () => "",
];

describe("without exceptions", () => {
  const executor = httpRequest({ lookup });

  it(`none of ${hostileUrls.length} hostile URLs opens a connection`, async () => {
    const outcomes = await Promise.all(
      hostileUrls.map(async (urlOf) => {
        const url = urlOf(port);
        const outcome = await perform(executor, { url, timeout_ms: 5_000 }).catch((error) => error.code);
        return { url, outcome };
      }),
    );
    const refusals = ["HTTP_TARGET_REFUSED", "INPUT_INVALID"];
    expect(outcomes.filter(({ outcome }) => !refusals.includes(outcome))).toEqual([]);
    expect(connections).toBe(0);
  });

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
