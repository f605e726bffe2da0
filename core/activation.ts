/** The step from "its needs have settled" to "it may start": the condition, then the input, then what the cache knows it by. */
import { type CompiledTemplate, compileTemplate } from "./binding.ts";
import { type ErrorCode, SkeinError } from "./errors.ts";
import { type CompiledExpression, compileExpression, type ExpressionContext, evaluateCondition } from "./expression.ts";
import { areConstant, flowKeys } from "./flow-limits.ts";
import type { Json } from "./json.ts";
import type { TaskEvent } from "./lifecycle.ts";
import type { TaskSpec } from "./run.ts";

export interface Activation {
  /** Keys of the tasks whose results `decide` reads. */
  tasks: ReadonlySet<string>;
  /** Whether it reads what the iteration before gave. */
  readsPrevious: boolean;
  decide(context: ExpressionContext): TaskEvent;
}

/**
 * Compiles what has to be evaluated before the task starts. Definitions were checked when they were submitted, so names
 * are not looked up again. A condition or template that fails dooms the task.
 */
export function prepareActivation(spec: TaskSpec): Activation {
  const cancelsRest = spec.join !== undefined && "cancelRest" in spec.join && spec.join.cancelRest === true;
  const condition = spec.when === undefined ? undefined : compileExpression(spec.when);
  const input = spec.input === undefined ? undefined : compileTemplate(spec.input);
  const key = spec.cache?.key === undefined ? undefined : compileTemplate(spec.cache.key);
  const limits = spec.limits && !areConstant(spec.limits) ? spec.limits : undefined;
  const limitKeys = compileTemplate(limits?.map((limit) => limit.key) ?? []);
  const parts = [condition, input, key, limitKeys];
  const identify = ({ input: found, inputRefs }: TaskEvent & { type: "started" }, context: ExpressionContext): Json => {
    if (key) return key.evaluate(context);
    if (found === undefined) return constantInput(spec.input!);
    return inputRefs ? { value: found, refs: inputRefs } : found;
  };
  return {
    tasks: new Set(parts.flatMap((part) => [...(part?.references.tasks ?? [])])),
    readsPrevious: parts.some((part) => part?.references.names.has("previous")),
    decide: (context) =>
      orDoomed(() => {
        const event = decide({ condition, input, limits }, context);
        if (event.type !== "started") return event;
        return {
          ...event,
          ...(cancelsRest && { cancelsRest }),
          ...(spec.cache && { identity: identify(event, context) }),
        };
      }),
  };
}

/** The value of a template without expressions; null for any other, which was evaluated and stored when the task started. */
export function constantInput(template: Json): Json {
  const compiled = compileTemplate(template);
  return compiled.isConstant ? compiled.evaluate({}) : null;
}

/** Evaluates any template over a run's results: the workflow's `outputs`. */
export function prepareOutputs(template: Json): CompiledTemplate {
  return compileTemplate(template);
}

interface Parts {
  condition: CompiledExpression | undefined;
  input: CompiledTemplate | undefined;
  /** With keys that have to be evaluated. */
  limits: TaskSpec["limits"];
}

function decide({ condition, input, limits }: Parts, context: ExpressionContext): TaskEvent {
  if (condition && !evaluateCondition(condition, context)) return { type: "skipped", reason: "condition_false" };
  const evaluated = input && !input.isConstant ? input.evaluateLazily(context) : undefined;
  return {
    type: "started",
    ...(evaluated && { input: evaluated.value }),
    ...(evaluated?.refs && { inputRefs: evaluated.refs }),
    ...(limits && { limitKeys: flowKeys(limits, context) }),
  };
}

function orDoomed(work: () => TaskEvent): TaskEvent {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return {
      type: "doomed",
      failure: { code: error.code satisfies ErrorCode, message: error.message, retryable: false },
    };
  }
}
