/** `llm.agent` — has a model work with tools until it is done, within bounds: docs/executors/llm.agent.md. */
import type { StepResult, ToolSet } from "ai";
import { z } from "zod";
import type { JsonObject } from "../../../core/json.ts";
import { defineExecutor, type ExecutorContext, NonRetryableError } from "../../../sdk/executor.ts";
import type { McpServers } from "../mcp/servers.ts";
import { toolsField, toolsFor } from "./agent-tools.ts";
import { eitherPromptOrMessages, requestFields, toRequest } from "./input.ts";
import type { Answer, Llm, LlmSession, Question } from "./llm.ts";
import { type Meter, usageFields } from "./meter.ts";
import { askForObject, instruction, objectFields, schemaField, wishFor } from "./object.ts";

const DEFAULT_STEPS = 10;
const MAX_STEPS = 100;

const budgetField = z
  .strictObject({
    tokens: z.int().min(1).optional().describe("In and out, of all steps together"),
    cost_usd: z.number().positive().optional().describe("Needs a price in SKEIN_LLM_PRICES"),
  })
  .default({})
  .describe("No further step begins once it is spent");
type Budget = z.output<typeof budgetField>;

const step = z.strictObject({
  step: z.int().describe("From 1"),
  finish_reason: z.string(),
  tools: z.array(z.strictObject({ name: z.string(), ok: z.boolean() })),
  input_tokens: z.number().nullable(),
  output_tokens: z.number().nullable(),
});
type Step = z.output<typeof step>;

const input = z
  .strictObject({
    ...requestFields,
    tools: toolsField,
    max_steps: z.int().min(1).max(MAX_STEPS).default(DEFAULT_STEPS).describe("Answers of the model"),
    budget: budgetField,
    schema: schemaField.optional().describe("The JSON Schema (2020-12) of the answer. Without it the answer is text"),
    max_repairs: objectFields.max_repairs,
  })
  .refine(...eitherPromptOrMessages);

export function llmAgent(llm: Llm, servers: McpServers) {
  return defineExecutor({
    capability: "llm.agent",
    description: "Has a language model work with tools until it has an answer, within steps and budget",
    input,
    output: z.strictObject({
      text: z.string().nullable().describe("The answer, unless a schema was given"),
      object: z.unknown().describe("The answer, if a schema was given"),
      stop_reason: z.string().describe("Of the last step: stop, length, content-filter or other"),
      steps: z.array(step),
      model: z.string(),
      ...usageFields,
    }),
    run: (context) => perform(context, llm, servers),
    close: () => servers.close(),
  });
}

async function perform(context: ExecutorContext<z.output<typeof input>>, llm: Llm, servers: McpServers) {
  const { input } = context;
  const wish = input.schema && wishFor(input.schema, { response_format: "prompt", max_repairs: input.max_repairs });
  const session = await llm.open(context, input.model);
  const { meter, model } = session;
  if (input.budget.cost_usd !== undefined && !meter.hasPrice) {
    throw new NonRetryableError(`"${model}" has no price in SKEIN_LLM_PRICES, so its cost cannot be bounded`, {
      code: "LLM_PRICE_UNKNOWN",
    });
  }
  const request = toRequest(input);
  if (wish) request.system = [request.system, instruction(wish.schema)].filter(Boolean).join("\n\n");
  const tools = await toolsFor(input.tools, { context, session, servers });
  const steps: Step[] = [];
  const answer = await work({ request: { ...request, tools }, context, session, steps });
  const mayAskAgain = () => refuseSpent(meter, input.budget, "before the answer fitted the schema");
  const asked =
    wish && (await askForObject(session, { ...request, tools, toolChoice: "none" }, { ...wish, mayAskAgain }, answer));
  return {
    text: wish ? null : answer.text,
    object: asked?.object ?? null,
    stop_reason: answer.finishReason,
    steps,
    model,
    ...meter.total(),
  };
}

interface Work {
  request: Question;
  context: ExecutorContext<z.output<typeof input>>;
  session: LlmSession;
  /** Those that were taken. */
  steps: Step[];
}

async function work({ request, context, session, steps }: Work): Promise<Answer> {
  const { max_steps, budget } = context.input;
  const { meter, sdk } = session;
  const answer = await session.ask({
    ...request,
    stopWhen: [sdk.stepCountIs(max_steps), () => isSpent(meter, budget) || isUncountable(meter, budget)],
    onStepFinish(result) {
      steps.push(stepOf(result, steps.length + 1));
      tell(context, steps, meter);
    },
  });
  if (answer.finishReason !== "tool-calls") return answer;
  // It wanted to go on.
  refuseSpent(meter, budget, `after ${steps.length} steps`);
  throw new NonRetryableError(`The model had no answer after ${max_steps} steps; raise max_steps`, {
    code: "LLM_STEPS_EXHAUSTED",
  });
}

function stepOf({ finishReason, content, usage }: StepResult<ToolSet>, number: number): Step {
  const done = content.filter((part) => part.type === "tool-result" || part.type === "tool-error");
  return {
    step: number,
    finish_reason: finishReason,
    tools: done.map(({ toolName, type }) => ({ name: toolName, ok: type === "tool-result" })),
    input_tokens: usage.inputTokens ?? null,
    output_tokens: usage.outputTokens ?? null,
  };
}

/** What the model and its tools said is no business of a log. */
function tell({ log, progress, input }: Work["context"], steps: readonly Step[], meter: Meter): void {
  const { usage, cost_usd } = meter.total();
  const latest: JsonObject = { ...steps.at(-1)! };
  log.info(`step ${steps.length} of at most ${input.max_steps}`, { ...latest, total: { ...usage, cost_usd } });
  progress({ ...latest, max_steps: input.max_steps, total: { ...usage, cost_usd } });
}

function isSpent({ tokens, costUsd }: Meter, budget: Budget): boolean {
  return (
    tokens >= (budget.tokens ?? Number.POSITIVE_INFINITY) || costUsd >= (budget.cost_usd ?? Number.POSITIVE_INFINITY)
  );
}

function isUncountable({ isComplete }: Meter, budget: Budget): boolean {
  return !isComplete && (budget.tokens !== undefined || budget.cost_usd !== undefined);
}

/** Another attempt would spend as much again, so these are final. */
function refuseSpent(meter: Meter, budget: Budget, when: string): void {
  if (isUncountable(meter, budget)) {
    throw new NonRetryableError("The endpoint does not say how many tokens it used, so the budget cannot be kept", {
      code: "LLM_USAGE_UNKNOWN",
    });
  }
  if (!isSpent(meter, budget)) return;
  const spent = `${meter.tokens} tokens${meter.hasPrice ? `, ${meter.costUsd} USD` : ""}`;
  throw new NonRetryableError(`The budget was spent (${spent}) ${when}`, { code: "LLM_BUDGET_EXHAUSTED" });
}
