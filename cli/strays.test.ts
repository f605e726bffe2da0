import { describe, expect, it } from "vitest";
import { survivingStrays } from "./strays.ts";

describe("what handlers leave behind", () => {
  it("is told while the work goes on, and the process is as it was afterwards", async () => {
    const before = ["unhandledRejection", "uncaughtException"].map((name) => process.listenerCount(name));
    const told: string[] = [];
    const answer = await survivingStrays(
      async () => {
        // As Node does when nobody awaits or catches; really doing it would fail the test run.
        process.listeners("unhandledRejection").at(-1)?.("forgotten", Promise.resolve());
        process.listeners("uncaughtException").at(-1)?.(new Error("thrown in a timer"), "uncaughtException");
        return 5;
      },
      { rejected: (reason) => told.push(reason), thrown: (reason) => told.push(reason.split("\n")[0]!) },
    );
    expect(answer).toBe(5);
    expect(told).toEqual(["forgotten", "Error: thrown in a timer"]);
    expect(["unhandledRejection", "uncaughtException"].map((name) => process.listenerCount(name))).toEqual(before);
  });
});
