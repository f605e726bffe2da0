/** The step from "its needs have settled" to "it may start": the condition, then the input. */
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
  const limits = spec.limits && !areConstant(spec.limits) ? spec.limits : undefined;
  const keys = compileTemplate(limits?.map(({ key }) => key) ?? []);
  const parts = [condition, input, keys];
  return {
    tasks: new Set(parts.flatMap((part) => [...(part?.references.tasks ?? [])])),
    readsPrevious: parts.some((part) => part?.references.names.has("previous")),
    decide: (context) => {
      const event = decide({ condition, input, limits }, context);
      return cancelsRest && event.type === "started" ? { ...event, cancelsRest } : event;
    },
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
  try {
    if (condition && !evaluateCondition(condition, context)) return { type: "skipped", reason: "condition_false" };
    return {
      type: "started",
      ...(input && !input.isConstant && { input: input.evaluate(context) }),
      ...(limits && { limitKeys: flowKeys(limits, context) }),
    };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return {
      type: "doomed",
      failure: { code: error.code satisfies ErrorCode, message: error.message, retryable: false },
    };
  }
}
