/** The planner that asks a model, and tells it what the gate has against its plan, until it has nothing or the budget is gone. */
import { type Issue, SkeinError } from "../../../core/errors.ts";
import { refusal } from "../../../core/issues.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { PlannableCapability } from "../../../core/planner/capability.ts";
import type { Goal } from "../../../core/planner/goal.ts";
import { answerSchema, type ReadAnswer, readAnswer } from "../../../core/planner/model/answer.ts";
import { complaint, firstPrompt, type Message } from "../../../core/planner/model/prompt.ts";
import { relevantCapabilities, relevantPlans } from "../../../core/planner/model/relevance.ts";
import type { Circumstances, Exchange, Planner, PlanOutcome } from "../../../core/planner/planner.ts";
import type { Workflow } from "../../../core/workflow.ts";
import { type Ask, LastTry, type ModelMessage } from "./endpoint.ts";

export interface ModelPlannerOptions {
  /** Undefined: no model is configured. */
  ask: Ask | undefined;
  /** Of other planners, for the message that says so. */
  others: readonly string[];
  budget: ModelBudget;
}

export interface ModelBudget {
  /** How often a plan that was refused may be mended. */
  repairs: number;
  /** Of all rounds together, in and out. */
  tokens: number;
  /** Of all rounds together. */
  timeMs: number;
}

/** Capabilities that a model is shown, and plans of the past. */
const MAX_CAPABILITIES = 60;
const MAX_EXAMPLES = 3;
const MAX_OUTPUT_TOKENS = 8_192;

export function modelPlanner({ ask, others, budget }: ModelPlannerOptions): Planner {
  return {
    name: "llm",
    async plan(goal, capabilities, circumstances) {
      if (!ask) {
        const names = others.map((name) => `\`${name}\``).join(", ");
        const message = `No model is configured to plan with: set OPENAI_BASE_URL and SKEIN_LLM_MODEL, or use the planner ${names}.`;
        throw new SkeinError("FEATURE_UNAVAILABLE", message);
      }
      return planWith(ask, goal, capabilities, circumstances, budget);
    },
  };
}

async function planWith(
  ask: Ask,
  goal: Goal,
  all: readonly PlannableCapability[],
  { flawsOf, accepted, signal }: Circumstances,
  budget: ModelBudget,
): Promise<PlanOutcome> {
  const capabilities = relevantCapabilities(
    goal,
    all.filter((one) => isPlannable(one) || goal.verify?.includes(one.name)),
    MAX_CAPABILITIES,
  );
  const examples = relevantPlans(goal, await accepted(), MAX_EXAMPLES);
  const schema = answerSchema(goal, capabilities);
  const deadline = AbortSignal.timeout(budget.timeMs);
  const either = AbortSignal.any([signal, deadline]);
  const said: ModelMessage[] = [];
  const transcript: Exchange[] = [];
  let prompt: Message[] = firstPrompt(goal, capabilities, examples, schema);
  for (let round = 0; ; round++) {
    said.push(...prompt);
    const answer = await answered(ask, said, schema, either, deadline, budget);
    const read: ReadAnswer = answer.isCut ? { issues: [cutOff] } : readAnswer(answer.text, goal, schema);
    const flaws = "plan" in read ? flawsOf(read.plan) : "issues" in read ? read.issues : [];
    const refused = flaws.map(({ code, message, pointer }) => ({ code, message, pointer }));
    const { text, inputTokens, outputTokens } = answer;
    const isRepeated = transcript.at(-1)?.answer === text;
    transcript.push({ prompt, answer: text, refused, inputTokens, outputTokens });
    if ("impossible" in read) return { outcome: "impossible", issues: [saidImpossible(read.impossible)] };
    if ("plan" in read && flaws.length === 0) return planned(read, transcript);
    const used = transcript.reduce((sum, one) => sum + one.inputTokens + one.outputTokens, 0);
    if (isRepeated) throw gaveUp(flaws, "it answered the same again");
    if (round >= budget.repairs) throw gaveUp(flaws, `it had ${round + 1} tries (SKEIN_PLAN_REPAIRS allows more)`);
    if (used >= budget.tokens) throw gaveUp(flaws, `it used ${used} tokens (SKEIN_PLAN_TOKENS allows more)`);
    // Endpoints refuse an empty message.
    said.push({ role: "assistant", content: text || "(nothing)" });
    prompt = [complaint(flaws)];
  }
}

/** What declares no types cannot be joined to anything. */
function isPlannable({ produces }: PlannableCapability): boolean {
  return Object.keys(produces).length > 0;
}

async function answered(
  ask: Ask,
  said: readonly ModelMessage[],
  schema: JsonObject,
  signal: AbortSignal,
  deadline: AbortSignal,
  { timeMs }: ModelBudget,
) {
  try {
    return await ask(said, { schema, maxOutputTokens: MAX_OUTPUT_TOKENS, signal });
  } catch (error) {
    if (!deadline.aborted) throw error;
    const last = error instanceof LastTry ? `; the last time, ${error.message}` : "";
    throw new SkeinError(
      "PLANNER_FAILED",
      `The model had no plan within ${timeMs} ms (SKEIN_PLAN_TIMEOUT_MS allows more)${last}. Try again, or use the planner \`capability\`.`,
    );
  }
}

const cutOff: Issue = {
  code: "PLAN_ANSWER_INVALID",
  message: "The answer was cut off; give a shorter one.",
  pointer: "",
};

function saidImpossible(why: string): Issue {
  return { code: "PLAN_IMPOSSIBLE", message: `The model says that there is no plan: ${why}`, pointer: "" };
}

function gaveUp(flaws: readonly Issue[], why: string): SkeinError {
  const told = refusal("PLAN_REFUSED", [...flaws]);
  return new SkeinError("PLAN_REFUSED", `The model made no plan that keeps the rules, and ${why}: ${told.message}`, {
    issues: told.issues,
  });
}

/** A model proves nothing, so its plan is never said to be the best. */
function planned(
  { plan, tasks, edges }: Extract<ReadAnswer, { plan: JsonObject }>,
  transcript: Exchange[],
): PlanOutcome {
  const workflow = plan as unknown as Workflow;
  return {
    outcome: "planned",
    plan: { workflow, tasks, edges, alternatives: [], isBest: false, transcript },
  };
}
