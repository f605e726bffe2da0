/** Asking a model at an endpoint that speaks OpenAI's chat-completions protocol, through the AI SDK. */

import { SkeinError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { boundedFetch } from "../../bounded-fetch.ts";

export interface EndpointSettings {
  /** Up to and without `/chat/completions`. */
  baseUrl: string;
  apiKey?: string | undefined;
  model: string;
  /** Default: one that bounds the answer. */
  fetch?: typeof fetch | undefined;
}

export interface ModelMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ModelAnswer {
  text: string;
  /** Whether it was cut off. */
  isCut: boolean;
  /** 0 where the endpoint does not tell. */
  inputTokens: number;
  outputTokens: number;
}

export type Ask = (
  messages: readonly ModelMessage[],
  options: { schema: JsonObject; maxOutputTokens: number; signal: AbortSignal },
) => Promise<ModelAnswer>;

/** Of requests that were refused for a while, or failed inside the endpoint; the SDK heeds Retry-After. */
const MAX_RETRIES = 2;
const MAX_REASON = 500;

/** Of one answer with all around it: a plan of 100 tasks with their reasons takes some 50 KiB. */
const MAX_ANSWER_BYTES = 4 * 1_024 * 1_024;

/** What planners ask with. */
export function plannerFetch(): typeof fetch {
  return boundedFetch({
    maxBytes: MAX_ANSWER_BYTES,
    tooLarge: () => new AnswerTooLong(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`),
  });
}

/**
 * Rejects with PLANNER_FAILED, or with the signal's reason. When it was aborted between two tries, what was wrong with the last one is the
 * cause of a PLANNER_FAILED.
 */
export function modelAt({ baseUrl, apiKey, model: name, fetch = plannerFetch() }: EndpointSettings): Ask {
  return async (messages, { schema, maxOutputTokens, signal }) => {
    // It takes 0.2 s, which a process that never asks a model need not wait.
    const [{ generateText, jsonSchema, Output }, { createOpenAICompatible }] = await Promise.all([
      import("ai"),
      import("@ai-sdk/openai-compatible"),
    ]);
    let trouble: string | undefined;
    const watched: typeof fetch = async (url, init) => {
      trouble = undefined;
      const answer = fetch(url, init);
      const response = await answer.catch((error: unknown) => {
        trouble = reasonOf(error);
        throw error;
      });
      if (!response.ok) trouble = `it answered ${response.status}`;
      return response;
    };
    const provider = createOpenAICompatible({
      name: "openaiCompatible",
      baseURL: baseUrl,
      supportsStructuredOutputs: true,
      ...(apiKey !== undefined && { apiKey }),
      fetch: watched,
    });
    try {
      const { responseFormat } = Output.object({ schema: jsonSchema(schema as never) });
      const result = await generateText({
        model: provider.chatModel(name),
        messages: [...messages],
        // The verdict on the text is ours: the SDK's own would not say what is wrong with it.
        output: { ...Output.text(), responseFormat },
        maxOutputTokens,
        maxRetries: MAX_RETRIES,
        temperature: 0,
        allowSystemInMessages: true,
        abortSignal: signal,
      } as Parameters<typeof generateText>[0]);
      return {
        text: result.text,
        isCut: result.finishReason === "length",
        inputTokens: result.usage.inputTokens ?? 0,
        outputTokens: result.usage.outputTokens ?? 0,
      };
    } catch (error) {
      if (signal.aborted) throw trouble === undefined ? signal.reason : new LastTry(trouble);
      throw failed(name, baseUrl, error, apiKey);
    }
  };
}

/** It was waiting for the next try when the time was over. */
export class LastTry extends Error {}

/** What is at the bottom of a failure: `fetch failed` says nothing. */
function reasonOf(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  return reason instanceof Error ? reason.message || String((reason as { code?: string }).code) : String(reason);
}

/** The SDK only says that it could not read the answer; why, its cause does. */
function tooLong(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof AnswerTooLong) return cause.message;
  }
  return undefined;
}

class AnswerTooLong extends Error {}

function failed(model: string, baseUrl: string, error: unknown, apiKey: string | undefined): SkeinError {
  const { statusCode, lastError } = error as Error & { statusCode?: number; lastError?: unknown };
  const message = tooLong(error) ?? (error as Error).message;
  const { statusCode: lastStatus } = (lastError ?? {}) as { statusCode?: number };
  const status = statusCode ?? lastStatus;
  const said = (apiKey ? String(message).replaceAll(apiKey, "…") : String(message)).slice(0, MAX_REASON);
  const remedy =
    status === 401 || status === 403
      ? "correct OPENAI_API_KEY"
      : status === 404
        ? "correct OPENAI_BASE_URL or SKEIN_LLM_MODEL"
        : "try again later";
  // Without the SDK's error as its cause: that repeats what was sent and answered, and causes are logged.
  return new SkeinError(
    "PLANNER_FAILED",
    `"${model}" at ${new URL(baseUrl).host} did not answer${status === undefined ? "" : ` (${status})`}: ${said}. Use the planner \`capability\`, or ${remedy}.`,
  );
}
