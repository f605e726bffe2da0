import { expect, it } from "vitest";
import { leaseToken, readLeaseToken } from "./lease-token.ts";

it("names its capability, which may have dots", () => {
  expect(readLeaseToken(leaseToken("c2VjcmV0", "image.scale.v2"))).toEqual({
    secret: "c2VjcmV0",
    capability: "image.scale.v2",
  });
});

it.each(["", "forged", "."])("reads %j as a token for no capability", (token) => {
  expect(readLeaseToken(token).capability).toBe("");
});
