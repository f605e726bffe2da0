/** What an attempt has used of models so far, and what that costs. */
import { z } from "zod";
import type { Usage } from "../../../sdk/executor.ts";

/** USD per million tokens. */
export interface Price {
  input: number;
  output: number;
}

export interface Meter {
  /** One answer of the model. Undefined: the endpoint did not say. */
  record(inputTokens: number | undefined, outputTokens: number | undefined): void;
  /** What was used on the attempt's behalf elsewhere, by its own count. */
  count(more: Usage): void;
  /** Of what is known. */
  readonly tokens: number;
  readonly costUsd: number;
  /** Every answer so far came with its tokens. */
  readonly isComplete: boolean;
  readonly hasPrice: boolean;
  /** For the output: null stands for what is not known. */
  total(): Billed;
}

export const usageFields = {
  usage: z.strictObject({
    input_tokens: z.number().nullable().describe("Null if the endpoint does not say"),
    output_tokens: z.number().nullable(),
  }),
  cost_usd: z.number().nullable().describe("By SKEIN_LLM_PRICES; null if the model has no price there"),
};
export type Billed = { [Field in keyof typeof usageFields]: z.output<(typeof usageFields)[Field]> };

const TOKENS_PER_PRICE = 1_000_000;

/** `tell` hears of everything once, as it comes. */
export function createMeter(price: Price | undefined, tell: (more: Usage) => void): Meter {
  const sums = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };
  let isComplete = true;

  function count(more: Usage): void {
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += more[name] ?? 0;
    tell(more);
  }

  return {
    count,
    record(input, output) {
      if (input === undefined || output === undefined) isComplete = false;
      const [input_tokens, output_tokens] = [input ?? 0, output ?? 0];
      const cost = price && (input_tokens * price.input + output_tokens * price.output) / TOKENS_PER_PRICE;
      count({ input_tokens, output_tokens, ...(cost !== undefined && { cost_usd: cost }) });
    },
    get tokens() {
      return sums.input_tokens + sums.output_tokens;
    },
    get costUsd() {
      return sums.cost_usd;
    },
    get isComplete() {
      return isComplete;
    },
    hasPrice: price !== undefined,
    total() {
      const { input_tokens, output_tokens, cost_usd } = sums;
      const usage = isComplete ? { input_tokens, output_tokens } : { input_tokens: null, output_tokens: null };
      return { usage, cost_usd: isComplete && price ? cost_usd : null };
    },
  };
}
