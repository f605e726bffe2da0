/**
 * Keeps requests that users shape away from the network we stand in. A name is resolved here, once; every address it has is
 * checked; the connection goes to those addresses and no others, so a name that answers differently the second time
 * (DNS rebinding) gains nothing. Each connection passes here, therefore each redirect does.
 */

import { lookup as resolve } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { buildConnector } from "undici";
import { SkeinError } from "../../../core/errors.ts";
import { NonRetryableError } from "../../../sdk/executor.ts";

/** All addresses of a name. Rejects when it has none. */
export type Lookup = (hostname: string) => Promise<string[]>;

export interface GuardOptions {
  /** Exceptions for internal targets, as text: `host`, `host:port`, `*.example.org`, an address, `[::1]:8080`, a CIDR range. */
  allow?: readonly string[];
  /** Default: the system's resolver. */
  lookup?: Lookup;
}

/**
 * A connector for an undici `Agent`. Without exceptions it reaches global unicast addresses only. Fails with a
 * `NonRetryableError` HTTP_TARGET_REFUSED before any packet is sent. Throws CONFIG_INVALID for an unusable exception.
 */
export function guardedConnector({ allow = [], lookup = systemLookup }: GuardOptions): buildConnector.connector {
  const rules = allow.map(parseRule);

  async function addressesOf(hostname: string, port: number): Promise<string[]> {
    const host = withoutBrackets(hostname);
    const addresses = isIP(host) ? [host] : await lookup(host);
    const refused = addresses.find(
      (address) => !isPublicAddress(address) && !rules.some((rule) => rule(host, address, port)),
    );
    if (refused === undefined && addresses.length > 0) return addresses;
    throw new NonRetryableError(
      `${hostname}:${port} leads to ${refused ?? "no address"}, which is not on the public internet; the operator can allow it with SKEIN_HTTP_ALLOW`,
      { code: "HTTP_TARGET_REFUSED" },
    );
  }

  return (options, callback) => {
    const port = Number(options.port || (options.protocol === "https:" ? 443 : 80));
    addressesOf(options.hostname, port).then(
      (addresses) => buildConnector({ lookup: pinnedTo(addresses) })(options, callback),
      (error) => callback(error, null),
    );
  };
}

/** Azure's platform endpoint: metadata and credentials on an address that is public by its number. */
const PUBLIC_BY_NUMBER_ONLY = new Set(["168.63.129.16"]);
/** What IANA hands out as global unicast; everything outside is special in one way or another. */
const IPV6_GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");
/** RFC 6052: where IPv6-only networks reach the IPv4 internet. What counts is the IPv4 address inside. */
const NAT64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/** Whether an address is global unicast: not private, loopback, link-local, shared, reserved, multicast or a tunnel into those. */
export function isPublicAddress(text: string): boolean {
  if (!isIP(text)) return false; // also refuses zones such as fe80::1%eth0
  const address = unwrapIpv4(ipaddr.parse(text));
  if (address.range() !== "unicast" || PUBLIC_BY_NUMBER_ONLY.has(address.toString())) return false;
  return address instanceof ipaddr.IPv4 || address.match(IPV6_GLOBAL_UNICAST);
}

/** The IPv4 address inside a mapped (`::ffff:0:0/96`) or NAT64 address; 6to4, Teredo and the like are refused as they are. */
function unwrapIpv4(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address instanceof ipaddr.IPv4) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  return address.match(NAT64) ? new ipaddr.IPv4(address.toByteArray().slice(12)) : address;
}

const systemLookup: Lookup = async (hostname) => {
  const found = await resolve(hostname, { all: true });
  return found.map(({ address }) => address);
};

/** What `net.connect` asks instead of the resolver. */
function pinnedTo(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_hostname, options, callback) => {
    if (options.all) callback(null, found);
    else callback(null, found[0]!.address, found[0]!.family);
  };
}

type Rule = (host: string, address: string, port: number) => boolean;

/** `host` may hold a port after the last colon, unless it is a bare IPv6 address. */
function parseRule(text: string): Rule {
  const range = parseRange(text);
  if (range) return (_host, address) => isWithin(address, range);

  const parts = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const wanted = canonicalHost(parts?.[1]);
  if (wanted === undefined) {
    throw new SkeinError(
      "CONFIG_INVALID",
      `SKEIN_HTTP_ALLOW: "${text}" is not a host, host:port, *.domain, address or CIDR range; separate entries by commas`,
    );
  }
  const isPort = (port: number) => parts?.[2] === undefined || Number(parts[2]) === port;
  const exact = parseRange(wanted);
  if (exact) return (_host, address, port) => isPort(port) && isWithin(address, exact);
  if (wanted.startsWith("*."))
    return (host, _address, port) => isPort(port) && withoutDot(host).endsWith(wanted.slice(1));
  return (host, _address, port) => isPort(port) && withoutDot(host) === wanted;
}

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** A CIDR range, or a single address as one. Strict: `127.1` is not an address here. */
function parseRange(text: string): Range | undefined {
  if (isIP(text)) return ipaddr.parseCIDR(`${text}/${isIP(text) === 4 ? 32 : 128}`);
  return ipaddr.isValidCIDR(text) && isIP(text.split("/")[0]!) ? ipaddr.parseCIDR(text) : undefined;
}

function isWithin(text: string, [network, bits]: Range): boolean {
  const address = unwrapIpv4(ipaddr.parse(text));
  return address.kind() === network.kind() && address.match(network, bits);
}

/** As the URL parser writes a host: lower case, punycode, no brackets, no final dot. Undefined when it is none. */
function canonicalHost(text: string | undefined): string | undefined {
  const [, star = "", host] = /^(\*\.)?([^*]+)$/.exec(text ?? "") ?? [];
  if (!host || !URL.canParse(`http://${host}/`)) return undefined;
  const { hostname, href } = new URL(`http://${host}/`);
  const isAll = href === `http://${hostname}/`;
  return isAll ? star + withoutDot(withoutBrackets(hostname)) : undefined;
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

function withoutDot(host: string): string {
  return host.replace(/\.$/, "");
}
