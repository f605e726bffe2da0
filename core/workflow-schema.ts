/** The shape of a workflow file. The OpenAPI document, the editor schema and the error messages all read it from here. */
import { z } from "zod";
import { exhaustionPolicies, MAX_CALLS, MAX_COST, MAX_TOKENS, MIN_COST } from "./budget.ts";
import { durationPattern, isDuration } from "./duration.ts";
import { triggerRules } from "./join.ts";
import type { Json } from "./json.ts";

/** Names of tasks, workflows and capabilities. `__proto__` would be one, if objects could have it as a key. */
export const idPattern = /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
const ID_FORM = "letters, digits, `_`, `.` and `-`, beginning with a letter or `_`, at most 128 in all";

const labelKeyPattern = /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_./-]{0,127}$/;
const MAX_LABEL_LENGTH = 256;

/** Any JSON value; that it is one, and can be stored, is checked for the whole document beforehand. */
const json = z.unknown() as z.ZodType<Json>;

/**
 * A key that may be absent. `exactOptional()` would say just that, but validates what is absent, too: 100,000 tasks take
 * it three times as long. Values are JSON, so the `undefined` that `optional()` lets pass cannot occur.
 */
function optional<T extends z.ZodType>(schema: T): z.ZodExactOptional<T> {
  return schema.optional() as unknown as z.ZodExactOptional<T>;
}

const id = z.string().regex(idPattern);
/** `name` or `name@version`. */
export const workflowReference = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}(@[1-9]\d{0,8})?$/;
/** `name` or `name@range`. */
const capabilityReference = z
  .string()
  .regex(/^(?!__proto__(?:@|$))[A-Za-z_][A-Za-z0-9_.-]{0,127}(?:@[\^~]?\d{1,9}(?:\.\d{1,9}){0,2})?$/);
const percentage = /^(?:100|\d{1,2})%$/;

const labelValue = z.union([z.string(), z.number(), z.boolean()]);
const bound = z.number();
const labelTests = z.record(
  z.string().regex(labelKeyPattern),
  z.union([
    labelValue,
    z.strictObject({ in: z.array(z.union([z.string(), z.number()])).min(1) }),
    z.strictObject({ exists: z.boolean() }),
    z.strictObject({ gt: bound }),
    z.strictObject({ gte: bound }),
    z.strictObject({ lt: bound }),
    z.strictObject({ lte: bound }),
  ]),
);

/** Takes any value, so that `timeout: 30` is told to be no duration rather than no string. */
function requiredDuration(description: string) {
  const text = z.unknown().refine(isDuration, { params: { code: "WORKFLOW_DURATION_INVALID" } }) as z.ZodType<string>;
  const examples = ["30s", "PT5M"];
  return text.meta({ type: "string", pattern: durationPattern.source, examples, description });
}

function duration(description: string) {
  return optional(requiredDuration(description));
}

export const retrySchema = z
  .strictObject({
    max_attempts: optional(z.int32().min(1).describe("How many attempts may fail before the task does; default 3.")),
    backoff: optional(
      z
        .enum(["fixed", "linear", "exponential"])
        .describe("How the delay grows with each failure; default exponential."),
    ),
    initial_delay: duration("The delay after the first failure; default 1s."),
    max_delay: duration("No delay is longer than this; default 1m."),
    jitter: optional(z.boolean().describe("Whether delays are spread at random over their upper half; default true.")),
    also_on: optional(
      z
        .array(z.string().min(1).max(128))
        .min(1)
        .max(100)
        .describe("Codes of errors that are tried again though they are final, such as OUTPUT_INVALID."),
    ),
  })
  .meta({ id: "RetryDefinition", description: "When a failed task is tried again." });

export const cacheSchema = z
  .strictObject({
    key: optional(
      json.describe(
        "What makes two tasks the same instead of their whole input, with `{{ expressions }}` in strings, such as `{{ inputs.url }}`.",
      ),
    ),
    ttl: requiredDuration("How long an output answers for the tasks that ask the same, such as `1h`."),
  })
  .describe("The output of an equal task is taken instead of running the task: `{ ttl: 1h }`.");

const times = {
  timeout: duration("The longest an attempt may take, from claim to report; default 10m."),
  heartbeat: duration("The lease: an executor silent for longer has lost the task; default 30s."),
  schedule_timeout: duration("The longest a task may be ready while no live agent offers its capability; default 10m."),
  deadline: duration("The longest from when the task is first ready until it has settled; default none."),
};

export const joinSchema = z
  .union([
    z.string(),
    z.strictObject({
      at_least: optional(
        z.union([z.int32().min(1), z.literal("first")]).describe("How many needs have to complete; `first` is 1."),
      ),
      expression: optional(z.string().describe("The needs that have to complete, such as `(a || b) && c`.")),
      cancel_rest: optional(
        z
          .boolean()
          .describe("Whether needs that are still open when the task starts, and that only it needs, are cancelled."),
      ),
    }),
  ])
  .describe("When enough needs have completed: an expression over them such as `(a || b) && c`, or `{ at_least: 2 }`.");

/** A duration, a point in time or another text that an expression may stand for. */
const text = (description: string) => optional(z.string().describe(description));

const approvalSchema = z.strictObject({
  assignee: text("Who is asked; shown to people, not enforced."),
  payload: optional(json.describe("What is to be decided, with `{{ expressions }}` in strings.")),
});

const waitConditions = {
  for: text("How long, such as `5m`, or an expression for it."),
  until: text("The time, RFC 3339, or an expression for it."),
  signal: text("The name of the signal, or an expression for it."),
  transient: optional(
    z.boolean().describe("Whether only a signal that arrives while the task waits counts; default false."),
  ),
  approval: optional(approvalSchema.describe("A person's decision; `{}` asks anybody.")),
};

export const waitSchema = z
  .strictObject({
    ...waitConditions,
    any_of: optional(
      z
        .array(z.strictObject(waitConditions))
        .min(1)
        .describe("Several things to wait for; the first that happens ends the wait."),
    ),
    timeout: duration("How long before the task fails with `wait_timed_out`; default never."),
  })
  .describe("What the task waits for, instead of being handed to an agent: `{ for: 5m }`, `{ signal: paid }`.");

export const loopSchema = z
  .strictObject({
    body: z
      .array(json)
      .min(1)
      .describe("The tasks of one iteration, written like those of a workflow.")
      .meta({ items: { $ref: "#/components/schemas/TaskDefinition" } }),
    until: z
      .string()
      .describe("A CEL condition over the tasks of the iteration that has just ended; true ends the loop."),
    max: z.int32().min(1).describe("More iterations than this fail the task with `loop_exhausted`."),
  })
  .describe("Runs its body again and again until a condition holds.");

const budgetLimits = {
  tokens: optional(z.int().min(1).max(MAX_TOKENS).describe("The most tokens of models; a whole number from 1.")),
  cost: optional(
    z
      .number()
      .min(MIN_COST)
      .max(MAX_COST)
      .describe("The most money, in the unit of the capabilities' `cost`; a number of at least 0.000001."),
  ),
  calls: optional(
    z.int().min(1).max(MAX_CALLS).describe("The most attempts of tasks that agents may make; a whole number from 1."),
  ),
};
const onExhausted = optional(
  z
    .enum(exhaustionPolicies)
    .describe(
      "What happens when the next attempt does not fit: `fail` (default), `wait` for a larger budget, or look for a `cheaper` agent.",
    ),
);

/** Of a whole run. */
export const budgetSchema = z
  .strictObject({
    ...budgetLimits,
    wall_time: duration("The longest that the run may take, from its submit."),
    on_exhausted: onExhausted,
  })
  .describe("What the run may spend, with all that it begins: `{ tokens: 200000, cost: 5 }`.");

const taskBudgetSchema = z
  .strictObject({ ...budgetLimits, on_exhausted: onExhausted })
  .describe("What the task may spend, over all its attempts and all that it begins: `{ cost: 0.5 }`.");

const estimateSchema = z
  .strictObject({
    tokens: optional(z.int().min(0).max(MAX_TOKENS).describe("Tokens of models; a whole number from 0.")),
    cost: optional(z.number().min(0).max(MAX_COST).describe("Money, in the unit of budgets; a number of at least 0.")),
    calls: optional(z.int().min(0).max(MAX_CALLS).describe("Calls; a whole number from 0, default 1.")),
  })
  .describe("What one attempt needs of its budgets, where that is not what its agent has declared.");
const flowKey = z
  .string()
  .min(1)
  .describe(
    "What is limited, for all that name it in the namespace, with `{{ expressions }}`: `crm-{{ inputs.tenant }}`. Not beginning with `@`.",
  );
const mostAtOnce = optional(
  z
    .int32()
    .min(1)
    .describe("How many of the key run at once; by default what the namespace has set for it, else any number."),
);

const onConflict = (what: string) =>
  optional(
    z
      .enum(["queue", "cancel_running", "cancel_new"])
      .describe(
        `What happens when as many run as may: the new ${what} waits (the default), the oldest is cancelled, or the new one is.`,
      ),
  );

export const concurrencySchema = z
  .strictObject({ key: flowKey, limit: mostAtOnce, on_conflict: onConflict("task") })
  .meta({ id: "ConcurrencyDefinition", description: "How many tasks of a key run at once." });

const runKey = optional(
  flowKey.describe("What is limited, with `{{ expressions }}` over inputs; default the workflow's name."),
);

export const runConcurrencySchema = z
  .strictObject({
    key: runKey,
    limit: mostAtOnce,
    on_conflict: onConflict("run"),
  })
  .meta({ id: "RunConcurrencyDefinition", description: "How many runs of a key go on at once." });

const rateParts = {
  limit: z.int32().min(1).describe("How many may start in each period."),
  per: z
    .unknown()
    .refine(isDuration, { params: { code: "WORKFLOW_DURATION_INVALID" } })
    .meta({
      type: "string",
      pattern: durationPattern.source,
      examples: ["1s", "1m"],
      description: "The period, such as `1m`.",
    }) as z.ZodType<string>,
};

export const rateSchema = z
  .strictObject({ key: flowKey, ...rateParts })
  .meta({ id: "RateDefinition", description: "How many attempts of a key start in each period." });

export const runRateSchema = z
  .strictObject({ key: runKey, ...rateParts })
  .meta({ id: "RunRateDefinition", description: "How many runs of a key start in each period." });

const terminateStatus = z.enum(["completed", "failed", "cancelled"]);

export const taskSchema = z
  .strictObject({
    id: id.describe(`The task's name, unique in the workflow: ${ID_FORM}.`),
    description: optional(z.string().describe("What the task is for.")),
    needs: optional(
      z.array(z.string()).describe("The ids of the tasks that have to settle before this one, such as [search, read]."),
    ),
    depends_on: optional(z.array(z.string()).describe("Another word for `needs`.")),
    group: optional(id.describe("A name that several tasks share, to cancel them by.")),
    capability: optional(
      capabilityReference.describe(
        "What an agent must offer to run the task: `name`, or `name@range` for some of its versions, such as `llm.generate@^2`.",
      ),
    ),
    requires: optional(
      z.array(capabilityReference).min(1).describe("Further capabilities that the same agent must offer."),
    ),
    labels: optional(
      labelTests.describe("What the agent's labels must be: `{ gpu: true, region: { in: [eu, us] } }`."),
    ),
    prefer: optional(labelTests.describe("What the agent's labels should be; agents that meet more of it come first.")),
    sticky: optional(
      z
        .string()
        .min(1)
        .describe(
          "Tasks with the same text, with `{{ expressions }}` over inputs, go to the same agent; `run`: those of the run.",
        ),
    ),
    agent: optional(z.string().min(1).describe("The id or the name of the only agent that may run the task.")),
    wait: optional(waitSchema),
    loop: optional(loopSchema),
    workflow: optional(
      z
        .string()
        .regex(workflowReference)
        .describe("A registered workflow to run as a run of its own: `name` or `name@version`."),
    ),
    detached: optional(
      z.boolean().describe("Whether the task completes as soon as its `workflow` has been submitted; default false."),
    ),
    terminate: optional(
      z
        .union([
          terminateStatus,
          z.strictObject({ status: terminateStatus, message: text("Why, with `{{ expressions }}`.") }),
        ])
        .describe("Ends the whole run at once: completed, failed or cancelled."),
    ),
    cancel: optional(
      z
        .union([z.string(), z.array(z.string()).min(1)])
        .describe("The ids or groups of tasks that are cancelled if they are open."),
    ),
    for_each: optional(
      json.describe("A list, or an expression for it: the task is run once for each `item`, at its `index`."),
    ),
    max_concurrency: optional(z.int32().min(1).describe("How many items may be open at once; default all.")),
    tolerate_failures: optional(
      z
        .union([z.int32().min(0), z.string().regex(percentage)])
        .describe("How many items may fail before the task does: a number, or a share such as `20%`; default 0."),
    ),
    until: optional(
      z
        .strictObject({ succeeded: z.int32().min(1).describe("How many items have to complete.") })
        .describe("When enough items have completed; those that are still open are cancelled."),
    ),
    open: optional(
      z
        .union([z.boolean(), z.literal("drain")])
        .describe("Whether more items may be emitted: `true` until it is closed, `drain` until none is open."),
    ),
    trigger_rule: optional(
      z.enum(triggerRules).describe("How the needs have to settle before the task starts; default all_success."),
    ),
    join: optional(joinSchema),
    when: optional(z.string().describe("A CEL condition; where it is false the task is skipped.")),
    input: optional(
      json.describe(
        "The handler's input, with `{{ expressions }}` in strings; default `{ inputs, needs: { <id>: output } }`.",
      ),
    ),
    compensate: optional(
      z
        .strictObject({
          capability: id.describe("What undoes the task."),
          input: optional(
            json.describe("Its input, whose expressions also see the task's `output`; default `{ output }`."),
          ),
        })
        .describe("What undoes the task, in reverse order of completion, when the run fails after the task completed."),
    ),
    cache: optional(cacheSchema),
    retry: optional(retrySchema),
    ...times,
    budget: optional(taskBudgetSchema),
    estimate: optional(estimateSchema),
    concurrency: optional(concurrencySchema),
    rate: optional(rateSchema),
    priority: optional(z.int().min(0).max(9).describe("From 0, last, to 9, first.")),
  })
  .meta({ id: "TaskDefinition", description: "A task: an id, the capability it asks for, and what it needs." });

export const workflowSchema = z
  .strictObject({
    name: id.describe(`The workflow's name: ${ID_FORM}.`),
    version: optional(z.int32().min(1).describe("A whole number from 1; by default assigned on registration.")),
    description: optional(z.string().describe("What the workflow is for.")),
    inputs: optional(z.record(z.string(), json).describe("The JSON Schema (2020-12) of a run's inputs.")),
    defaults: optional(
      z
        .strictObject({ retry: optional(retrySchema), ...times })
        .describe("What holds for every task that does not say otherwise."),
    ),
    deadline: duration("The longest from the submit until the run has ended; default none."),
    budget: optional(budgetSchema),
    concurrency: optional(runConcurrencySchema),
    rate: optional(runRateSchema),
    labels: optional(
      z
        .record(z.string().regex(labelKeyPattern), z.string().max(MAX_LABEL_LENGTH))
        .describe(`Texts to find runs by; keys are ${ID_FORM}, and may contain \`/\`.`),
    ),
    fair_key: optional(
      z
        .string()
        .min(1)
        .describe(
          "Runs with the same text, with `{{ expressions }}` over inputs, share their turns; default: each run has its own.",
        ),
    ),
    goal: optional(
      z
        .strictObject({
          have: optional(z.record(id, id).describe("The semantic type of each input by name.")),
          want: z.record(id, id).describe("The semantic type of each output by name."),
        })
        .describe(
          "What the workflow is for, by types: with it, the planner `template` finds it for goals like this one.",
        ),
    ),
    tasks: z.array(taskSchema).min(1).describe("The tasks, at least one, in any order."),
    outputs: optional(json.describe("The run's result, with `{{ expressions }}` over all tasks in strings.")),
  })
  .meta({ id: "Workflow", description: "A workflow: a name, and tasks that need one another." });

export type RetryDefinition = z.infer<typeof retrySchema>;
/** `depends_on` has become `needs`. */
export type TaskDefinition = Omit<z.infer<typeof taskSchema>, "depends_on" | "loop"> & { loop?: LoopDefinition };
export type LoopDefinition = Omit<z.infer<typeof loopSchema>, "body"> & { body: TaskDefinition[] };
export type Workflow = Omit<z.infer<typeof workflowSchema>, "tasks"> & { tasks: TaskDefinition[] };
