import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { calendarIssues, nextTick, ticksBefore, ticksBetween } from "./calendar.ts";

const at = (text: string) => Date.parse(text);
const texts = (ticks: number[]) => ticks.map((tick) => new Date(tick).toISOString().slice(0, 16));

describe("the ticks of a cron expression", () => {
  it.each<[string, string, string, string, string[]]>([
    ["every quarter of an hour", "*/15 * * * *", "UTC", "2026-01-01T00:00Z", ["00:00", "00:15", "00:30"]],
    ["a time of day, in its zone", "30 6 * * *", "Europe/Berlin", "2026-01-01T00:00Z", ["05:30"]],
    ["a nickname", "@hourly", "Asia/Kolkata", "2026-01-01T00:00Z", ["00:30", "01:30", "02:30"]],
  ])("%s", (_, cron, timezone, from, times) => {
    const day = from.slice(0, 11);
    const found = ticksBetween({ cron, timezone }, at(from), at(from) + 24 * 3_600_000, times.length);
    expect(texts(found)).toEqual(times.map((time) => day + time));
  });

  it("have seconds where there are six fields", () => {
    const calendar = { cron: "*/20 * * * * *", timezone: "UTC" };
    const found = ticksBetween(calendar, at("2026-01-01T00:00Z"), at("2026-01-01T00:01Z"), 9);
    expect(found.map((tick) => new Date(tick).getUTCSeconds())).toEqual([0, 20, 40]);
  });

  it.each<[string, string, string, string, string[]]>([
    // Europe/Berlin, 29 March 2026: 02:00 is followed by 03:00. New York, 1 November 2026: 01:00–02:00 comes twice.
    [
      "a time that a day leaves out fires when the clock has gone on",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00Z",
      ["2026-03-29T01:00", "2026-03-30T00:30"],
    ],
    [
      "a time that comes twice in a day fires the first time",
      "30 1 * * *",
      "America/New_York",
      "2026-10-31T12:00Z",
      ["2026-11-01T05:30", "2026-11-02T06:30"],
    ],
    [
      "every hour is every hour, on the day that has 23",
      "0 * * * *",
      "Europe/Berlin",
      "2026-03-29T00:00Z",
      ["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"],
    ],
    [
      "and on the day that has 25",
      "0 * * * *",
      "America/New_York",
      "2026-11-01T05:00Z",
      ["2026-11-01T05:00", "2026-11-01T06:00", "2026-11-01T07:00"],
    ],
  ])("at the changes of the clock: %s", (_, cron, timezone, from, expected) => {
    expect(texts(ticksBetween({ cron, timezone }, at(from), at("2027-01-01"), expected.length))).toEqual(expected);
  });

  it("are the same wherever one begins to look, forwards and backwards, and never two at once", () => {
    const crons = ["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "0 30 1,2 * * *", "30 23,0,1 * * *", "45 1 * * SUN"];
    const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"];
    // Around where clocks change in these zones.
    const days = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-04", "2026-10-25", "2026-10-30"];
    fc.assert(
      fc.property(
        fc.constantFrom(...crons),
        fc.constantFrom(...zones),
        fc.constantFrom(...days, "2026-11-01"),
        fc.integer({ min: 0, max: 86_400_000 }),
        (cron, timezone, day, offset) => {
          const calendar = { cron, timezone };
          const [from, to] = [at(day) - 86_400_000, at(day) + 2 * 86_400_000];
          const all = ticksBetween(calendar, from, to, 1_000);
          expect(all).toEqual([...new Set(all)].sort((a, b) => a - b));
          const middle = at(day) + offset;
          const rest = all.filter((tick) => tick >= middle);
          expect(ticksBetween(calendar, middle, to, 1_000)).toEqual(rest);
          expect(nextTick(calendar, middle - 1)).toBe(rest[0] ?? nextTick(calendar, to - 1));
          const before = all.filter((tick) => tick < middle);
          expect(ticksBefore(calendar, middle, before.length)).toEqual(before);
        },
      ),
      { seed: 20261127, numRuns: 150 },
    );
  });
});

describe("a calendar is refused", () => {
  it.each<[string, string, string, string, string]>([
    ["the 30th of February", "0 0 30 2 *", "UTC", "SCHEDULE_NEVER_FIRES", "/cron"],
    ["minute 61", "61 * * * *", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["three fields", "* * *", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["seven fields", "0 0 0 1 1 * 2030", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["a date", "2026-01-01T00:00:00", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["steps of zero", "*/0 * * * *", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["the start of a system", "@reboot", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["words", "every day at noon please", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["nothing", " ", "UTC", "SCHEDULE_CRON_INVALID", "/cron"],
    ["a zone that does not exist", "* * * * *", "Mars/Olympus", "SCHEDULE_TIMEZONE_UNKNOWN", "/timezone"],
    ["an offset", "* * * * *", "+02:00", "SCHEDULE_TIMEZONE_UNKNOWN", "/timezone"],
  ])("for %s", (_, cron, timezone, code, pointer) => {
    const issues = calendarIssues({ cron, timezone }, at("2026-01-01"));
    expect(issues).toEqual([{ code, pointer, message: expect.stringMatching(/^".{20,}\.( Did you mean .*)?$/) }]);
  });

  it("with the zone that was most likely meant", () => {
    const [issue] = calendarIssues({ cron: "* * * * *", timezone: "Europe/Berln" }, 0);
    expect(issue!.message).toContain('Did you mean "Europe/Berlin"?');
  });

  it("and not for what is written otherwise", () => {
    for (const cron of ["@daily", "0 9 * * MON-FRI", "0 0 L * *", "0 0 * * 1#2", " 0  0 * * * ", "0 0 29 2 *"])
      expect(calendarIssues({ cron, timezone: "europe/berlin" }, at("2026-01-01"))).toEqual([]);
  });
});
