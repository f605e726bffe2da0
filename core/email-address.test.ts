import { describe, expect, it } from "vitest";
import { parseEmailAddress } from "./email-address.ts";

describe("parseEmailAddress", () => {
  it.each([
    ["jane@example.org", { name: "", address: "jane@example.org", domain: "example.org" }],
    ["Jane Doe <jane@Example.ORG>", { name: "Jane Doe", address: "jane@Example.ORG", domain: "example.org" }],
    ['"Doe, Jane" <j.doe+x@a-b.example>', { name: "Doe, Jane", address: "j.doe+x@a-b.example", domain: "a-b.example" }],
    ["Jürgen Ä <j@xn--bcher-kva.example>", { name: "Jürgen Ä", address: "j@xn--bcher-kva.example" }],
    ["<jane@example.org>", { name: "", address: "jane@example.org" }],
    ["o'neil@example.org", { address: "o'neil@example.org" }],
  ])("reads %s", (text, address) => {
    expect(parseEmailAddress(text)).toMatchObject(address);
  });

  it.each([
    "",
    "jane",
    "@example.org",
    "jane@",
    "jane@localhost",
    "jane@127.0.0.1",
    "jane@[127.0.0.1]",
    "jane@example.1",
    "jane@-example.org",
    "jane@example..org",
    "jane@example.org.",
    ".jane@example.org",
    "jane.@example.org",
    "ja ne@example.org",
    "jane@example.org, joe@example.org",
    "jane@example.org joe@example.org",
    '"jane@evil.example joe"@example.org',
    '"jane" joe <jane@example.org>',
    "jane@evil.example@example.org",
    "jane@evil.example <joe@example.org> x",
    "Jane <jane@example.org> <joe@example.org>",
    "Jane <jane@example.org",
    "group: jane@example.org;",
    "jane(comment)@example.org",
    "jane@example.org\r\nBcc: joe@example.org",
    "Jane\r\nBcc: joe@example.org <jane@example.org>",
    "Jane\u0000 <jane@example.org>",
    "jäne@example.org",
    "jane@exämple.org",
    "jane@example．org",
    `${"x".repeat(65)}@example.org`,
    `jane@${"x.".repeat(130)}org`,
    `${"x".repeat(500)} <jane@example.org>`,
    " ".repeat(10_000),
  ])("refuses %.60s", (text) => {
    expect(parseEmailAddress(text)).toBeUndefined();
  });
});
