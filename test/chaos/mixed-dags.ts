/** Random DAGs of many kinds whose outputs are known beforehand, computed here without any code of the product. */

export interface MixedDag {
  definition: {
    name: string;
    defaults: { heartbeat: string };
    tasks: Record<string, unknown>[];
    outputs: Record<string, string>;
  };
  inputs: { seed: number };
  expected: Record<string, number | null>;
}

/** Mulberry32: a seed gives the same sequence everywhere. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Leases are short, so that what a killed executor held is taken back within seconds. */
const LEASE = "10s";

/** Each task's value is the sum of its needs' values and its own number; skipped tasks and what follows have none. */
export function mixedDag(seed: number): MixedDag {
  const random = randomOf(seed);
  const pick = (n: number) => Math.floor(random() * n);
  const count = 2 + pick(14);
  const values: (number | null)[] = [];
  const tasks: Record<string, unknown>[] = [];
  for (let i = 0; i < count; i++) {
    const needs = [...new Set(Array.from({ length: i === 0 ? 0 : pick(4) }, () => pick(i)))].sort((a, b) => a - b);
    const own = pick(100);
    const met = needs.every((n) => values[n] !== null);
    const sum = met ? needs.reduce((total, n) => total + values[n]!, own) : null;
    const isSkipped = random() < 0.08;
    values.push(isSkipped ? null : sum);
    tasks.push({ ...task(i, needs, own, pick(4)), ...(isSkipped && { when: "inputs.seed < 0" }) });
  }
  return {
    definition: {
      name: `mixed-${seed}`,
      defaults: { heartbeat: LEASE },
      tasks,
      outputs: Object.fromEntries(values.map((_, i) => [`t${i}`, `{{ tasks.t${i}.output }}`])),
    },
    inputs: { seed },
    expected: Object.fromEntries(values.map((value, i) => [`t${i}`, value])),
  };
}

function task(i: number, needs: number[], own: number, kind: number): Record<string, unknown> {
  const sum = [`${own}`, ...needs.map((n) => `int(tasks.t${n}.output)`)].join(" + ");
  const common = { id: `t${i}`, needs: needs.map((n) => `t${n}`) };
  switch (kind) {
    case 0:
      return {
        ...common,
        capability: "code.javascript",
        input: {
          code: "let t = 0; for (const n of input.parts) t += n; return t;",
          input: { parts: `{{ [${sum}] }}` },
        },
      };
    case 1:
      return { ...common, capability: "transform.jsonata", input: { expression: "a", data: { a: `{{ ${sum} }}` } } };
    default:
      return { ...common, capability: "core.echo", input: `{{ ${sum} }}` };
  }
}
