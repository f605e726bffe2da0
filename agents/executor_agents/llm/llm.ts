/** The endpoint that the operator chose, and asking a model there on behalf of one attempt. */
import type { ModelMessage, Output, StepResult, StopCondition, ToolSet } from "ai";
import { type ExecutorContext, NonRetryableError } from "../../../sdk/executor.ts";
import { boundedFetch } from "../../bounded-fetch.ts";
import { timerMs } from "../deadline.ts";
import { failureOf } from "./failures.ts";
import type { LlmRequest } from "./input.ts";
import { createMeter, type Meter, type Price } from "./meter.ts";
import { loadSdk, type Sdk } from "./sdk.ts";

export interface LlmSettings {
  /** Of an endpoint that speaks OpenAI's chat-completions protocol, such as `http://127.0.0.1:11434/v1`. */
  baseUrl: string;
  apiKey?: string | undefined;
  /** For tasks that name none. */
  model?: string | undefined;
  prices: ReadonlyMap<string, Price>;
}

export interface Llm {
  /** For one attempt. Throws LLM_MODEL_MISSING. */
  open(context: ExecutorContext, model: string | undefined): Promise<LlmSession>;
}

export interface LlmSession {
  readonly model: string;
  readonly meter: Meter;
  readonly sdk: Sdk;
  /** Asks once, or with tools until the model is done or told to stop. Throws TaskErrors. */
  ask(question: Question): Promise<Answer>;
}

export interface Question extends LlmRequest {
  tools?: ToolSet;
  toolChoice?: "none";
  stopWhen?: StopCondition<ToolSet>[];
  onStepFinish?: (step: StepResult<ToolSet>) => void;
  output?: Output.Output<string, string, never>;
}

export interface Answer {
  text: string;
  finishReason: string;
  /** What the model and the tools said, to go on from. */
  messages: ModelMessage[];
}

/** One answer, with all around it. */
const MAX_ANSWER_BYTES = 16 * 1_024 * 1_024;

export function createLlm({ baseUrl, apiKey, model: defaultModel, prices }: LlmSettings): Llm {
  const secrets = apiKey === undefined ? [] : [apiKey];
  const tooLarge = () =>
    new NonRetryableError(`The model's answer is longer than ${MAX_ANSWER_BYTES} bytes`, {
      code: "LLM_RESPONSE_TOO_LARGE",
    });
  const fetch = boundedFetch({ maxBytes: MAX_ANSWER_BYTES, tooLarge });

  function provide(sdk: Sdk, name: string, meter: Meter, { log }: ExecutorContext) {
    const provider = sdk.createOpenAICompatible({
      name: "openaiCompatible",
      baseURL: baseUrl,
      ...(apiKey !== undefined && { apiKey }),
      fetch,
      supportsStructuredOutputs: true,
    });
    return sdk.wrapLanguageModel({
      model: provider.chatModel(name),
      middleware: {
        specificationVersion: "v3",
        // Here, and not from the result: what was used before a failure has been used.
        async wrapGenerate({ doGenerate }) {
          const { warnings, ...result } = await doGenerate();
          meter.record(result.usage.inputTokens.total, result.usage.outputTokens.total);
          // The SDK would print them.
          for (const warning of warnings) log.warn("the endpoint's adapter warns", { type: warning.type });
          return { ...result, warnings: [] };
        },
      },
    });
  }

  return {
    async open(context, asked) {
      const name = asked ?? defaultModel;
      if (name === undefined) {
        throw new NonRetryableError("No model is named: give `model` in the input, or set SKEIN_LLM_MODEL", {
          code: "LLM_MODEL_MISSING",
        });
      }
      const sdk = await loadSdk();
      const meter = createMeter(prices.get(name), context.usage);
      const model = provide(sdk, name, meter, context);
      const timeMs = timerMs(context.timeoutMs);
      const deadline = timeMs === undefined ? undefined : AbortSignal.timeout(timeMs);
      const { signal } = context;
      const circumstances = { who: `"${name}" at ${new URL(baseUrl).host}`, signal, deadline, secrets };
      const abortSignal = deadline ? AbortSignal.any([signal, deadline]) : signal;
      return {
        model: name,
        meter,
        sdk,
        async ask(question) {
          try {
            signal.throwIfAborted();
            const result = await sdk.generateText({ ...question, model, maxRetries: 0, abortSignal });
            return { text: result.text, finishReason: result.finishReason, messages: result.response.messages };
          } catch (error) {
            throw failureOf(sdk, error, circumstances);
          }
        },
      };
    },
  };
}
