import { describe, expect, it } from "vitest";
import {
  type Amounts,
  admitUnder,
  type BudgetDefinition,
  type BudgetState,
  budgetAfter,
  budgetSpec,
  budgetUnits,
  type Estimate,
  estimateOf,
  leftUnder,
  limitsSomething,
  nothing,
  reportedAmounts,
  reserve,
  settledAmounts,
  shortageText,
} from "./budget.ts";

function budget(limits: Partial<Amounts>, state: Partial<BudgetState> = {}): BudgetState {
  return {
    id: "b",
    limits: { tokens: null, cost: null, calls: null, ...limits },
    spent: { ...nothing },
    reserved: { ...nothing },
    endsAt: null,
    onExhausted: "fail",
    ...state,
  };
}

const needs = (amounts: Partial<Estimate>): Estimate => ({ tokens: null, cost: null, calls: 1, ...amounts });
const spent = (amounts: Partial<Amounts>): Amounts => ({ ...nothing, ...amounts });

describe("amounts", () => {
  it.each([
    [0.1 + 0.2, 300_000],
    [5, 5_000_000],
    [0.000001, 1],
    [0.0000015, 2],
    [0.1, 100_000],
    [1.1, 1_100_000],
    [1_000_000_000, 1_000_000_000_000_000],
  ])("are whole: a cost of %f is %i millionths", (cost, millionths) => {
    expect(budgetSpec({ cost }).limits.cost).toBe(millionths);
  });

  it.each([
    [undefined, {}],
    [{}, {}],
    [{ input_tokens: 100, output_tokens: 20 }, { tokens: 120 }],
    [{ input_tokens: 100 }, { tokens: 100 }],
    [{ tokens: 7, input_tokens: 100 }, { tokens: 7 }],
    [{ cost_usd: 0.25 }, { cost: 250_000 }],
    [{ cost: 1, cost_usd: 2 }, { cost: 1_000_000 }],
    [{ calls: 3, pages: 9 }, { calls: 3 }],
    [{ tokens: -1, cost: Number.NaN, calls: "2" }, {}],
    [{ tokens: 1e300 }, { tokens: 1_000_000_000_000 }],
  ])("are read from the usage %j", (usage, amounts) => {
    expect(reportedAmounts(usage as never)).toEqual(amounts);
  });

  it("are settled as reported, and as set aside where nothing is said", () => {
    expect(settledAmounts({ tokens: 5 }, { tokens: 9, cost: 3, calls: 1 })).toEqual({ tokens: 5, cost: 3, calls: 1 });
    expect(settledAmounts({ calls: 0 }, spent({ calls: 1 }))).toEqual(nothing);
  });
});

describe("an estimate", () => {
  it.each([
    [undefined, undefined, { tokens: null, cost: null, calls: 1 }],
    [undefined, { cost: 0.5, tokens: 10 }, { tokens: 10, cost: 500_000, calls: 1 }],
    [{ tokens: 3 }, { cost: 0.5, tokens: 10, calls: 4 }, { tokens: 3, cost: 500_000, calls: 4 }],
    [{ cost: 0, calls: 2 }, { cost: 0.5 }, { tokens: null, cost: 0, calls: 2 }],
  ])("of task %j and agent %j", (task, offered, estimate) => {
    expect(estimateOf(task, offered)).toEqual(estimate);
  });
});

describe("a budget", () => {
  it.each([
    ["what fits exactly is admitted", { tokens: 100 }, { tokens: 60 }, { tokens: 20 }, { tokens: 20 }, "admitted"],
    [
      "what is reserved may yet be given back",
      { tokens: 100 },
      { tokens: 60 },
      { tokens: 30 },
      { tokens: 20 },
      "later",
    ],
    ["what is spent is spent", { tokens: 100 }, { tokens: 90 }, { tokens: 0 }, { tokens: 20 }, "exhausted"],
    ["of an unknown need something has to be left", { tokens: 100 }, { tokens: 99 }, {}, {}, "admitted"],
    ["an unknown need waits for what is reserved", { tokens: 100 }, { tokens: 99 }, { tokens: 1 }, {}, "later"],
    ["an unknown need cannot start on nothing", { tokens: 100 }, { tokens: 100 }, {}, {}, "exhausted"],
    ["what needs nothing of it starts all the same", { tokens: 100 }, { tokens: 150 }, {}, { tokens: 0 }, "admitted"],
    ["other units do not matter", { tokens: 100 }, { cost: 1e12 }, {}, { tokens: 100, cost: 1e12 }, "admitted"],
    ["every attempt is a call", { calls: 1 }, { calls: 1 }, {}, {}, "exhausted"],
    ["money counts in millionths", { cost: 3 }, { cost: 1 }, { cost: 1 }, { cost: 1 }, "admitted"],
  ] as const)("%s", (_, limits, spentSoFar, reserved, estimate, type) => {
    const state = budget(limits, { spent: spent(spentSoFar), reserved: spent(reserved) });
    expect(admitUnder([state], needs(estimate), 0).type).toBe(type);
  });

  it("never lets more through than it has, in whatever order and however large the attempts are", () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    const outer = budget({ tokens: 1_000, cost: 5_000 }, { id: "outer" });
    const inner = budget({ tokens: 400 }, { id: "inner" });
    const chains = [[outer], [outer, inner]];
    const running: { chain: BudgetState[]; amounts: Amounts }[] = [];
    let admitted = 0;
    for (let turn = 0; turn < 5_000; turn++) {
      const chain = chains[random(2)]!;
      const verdict = admitUnder(chain, { tokens: random(30), cost: random(100), calls: 1 }, 0);
      if (verdict.type === "admitted") {
        reserve(chain, verdict.reserved);
        running.push({ chain, amounts: verdict.reserved });
        admitted++;
      }
      if (running.length > 0 && random(3) === 0) {
        const [done] = running.splice(random(running.length), 1);
        const isRefunded = random(2) === 0;
        for (const state of done!.chain) {
          for (const unit of budgetUnits) {
            state.reserved[unit] -= done!.amounts[unit];
            if (!isRefunded) state.spent[unit] += done!.amounts[unit];
          }
        }
      }
      for (const { limits, spent, reserved } of [outer, inner]) {
        for (const unit of budgetUnits) {
          expect(spent[unit] + reserved[unit]).toBeLessThanOrEqual(limits[unit] ?? Number.POSITIVE_INFINITY);
        }
      }
    }
    expect(admitted).toBeGreaterThan(50);
  });

  it("is as tight as the tightest around it", () => {
    const outer = budget({ tokens: 100, cost: 50 }, { id: "outer", spent: spent({ tokens: 95 }) });
    const inner = budget({ tokens: 40, calls: 3 }, { id: "inner", reserved: spent({ calls: 1 }) });
    expect(leftUnder([outer, inner])).toEqual({ tokens: 5, cost: 50, calls: 2 });
    expect(admitUnder([outer, inner], needs({ tokens: 10, cost: 1 }), 0)).toMatchObject({
      type: "exhausted",
      shortage: { budgetId: "outer", unit: "tokens", needed: 10 },
    });
  });

  it("ends with its wall time", () => {
    const state = budget({}, { endsAt: 1_000 });
    expect(admitUnder([state], needs({}), 999).type).toBe("admitted");
    expect(admitUnder([state], needs({}), 1_000)).toMatchObject({ type: "exhausted", shortage: { unit: "wall_time" } });
  });

  it.each<[string, BudgetDefinition | undefined, BudgetDefinition, BudgetDefinition]>([
    ["takes the place of what there was, key by key", { tokens: 5, cost: 1 }, { tokens: 9 }, { tokens: 9, cost: 1 }],
    ["may be less", { calls: 5 }, { calls: 2 }, { calls: 2 }],
    ["keeps what happens then", { calls: 5, on_exhausted: "wait" }, { calls: 6 }, { calls: 6, on_exhausted: "wait" }],
    ["may say only what happens then", { calls: 5 }, { on_exhausted: "wait" }, { calls: 5, on_exhausted: "wait" }],
    [
      "may limit what was not limited",
      { calls: 5, wall_time: "1h" },
      { cost: 2 },
      { calls: 5, cost: 2, wall_time: "1h" },
    ],
    ["gives more time", { wall_time: "1h" }, { wall_time: "2h" }, { wall_time: "2h" }],
    ["is the first one", undefined, { tokens: 7 }, { tokens: 7 }],
  ])("that comes with a retry %s", (_, before, change, after) => {
    expect(budgetAfter(before && budgetSpec(before), change)).toEqual(budgetSpec(after));
  });

  it("limits something, or is none", () => {
    expect(limitsSomething({ on_exhausted: "wait" })).toBe(false);
    expect(limitsSomething({ wall_time: "5m" })).toBe(true);
  });
});

describe("what is missing, in words", () => {
  const shortage = { budgetId: "b", unit: "tokens", limit: 100, spent: 70, reserved: 20, needed: 30 } as const;
  it.each([
    [
      shortage,
      "Of 100 tokens that the run may spend, 70 tokens are spent and 20 tokens set aside for what is running, and the task needs 30 tokens: 20 tokens too many",
    ],
    [
      { ...shortage, unit: "cost", limit: 2_500_000, spent: 2_500_000, reserved: 0, needed: null },
      "Of 2.5 of cost that the run may spend, 2.5 of cost are spent",
    ],
    [{ ...shortage, unit: "wall_time", limit: 0 }, "The wall time of the run was over at 1970-01-01T00:00:00.000Z"],
  ] as const)("%j", (one, text) => {
    expect(shortageText(one, "the run")).toBe(text);
  });
});
