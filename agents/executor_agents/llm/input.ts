/** What the tasks of all `llm.*` capabilities say about the conversation and the model. */
import type { ModelMessage } from "ai";
import { z } from "zod";

const MAX_MODEL_CHARS = 256;
const MAX_STOPS = 4;
const MAX_TEMPERATURE = 2;

const stop = z.string().min(1);

/** Text only: the SDK would fetch pictures from wherever they are, past the guard of `http.request`. */
const message = z.strictObject({ role: z.enum(["user", "assistant"]), content: z.string().min(1) });

export const requestFields = {
  prompt: z.string().min(1).optional().describe("What the user says. Either this or `messages`"),
  messages: z.array(message).min(1).optional().describe("The conversation so far, ending with what is to be answered"),
  system: z.string().min(1).optional().describe("Instructions that come before the conversation"),
  model: z.string().min(1).max(MAX_MODEL_CHARS).optional().describe("Default: SKEIN_LLM_MODEL of the executor"),
  temperature: z.number().min(0).max(MAX_TEMPERATURE).optional(),
  top_p: z.number().min(0).max(1).optional(),
  max_output_tokens: z.int().min(1).optional().describe("For one answer. Default: the endpoint's"),
  stop: z
    .union([stop, z.array(stop).min(1).max(MAX_STOPS)])
    .optional()
    .describe("Texts at which the answer ends"),
  seed: z.int().optional(),
  reasoning_effort: z.string().min(1).optional().describe("Sent as it is, such as `low`; for models that reason"),
};

const fields = z.strictObject(requestFields);
type RequestInput = z.output<typeof fields>;

export const eitherPromptOrMessages = [
  ({ prompt, messages }: Pick<RequestInput, "prompt" | "messages">) =>
    (prompt === undefined) !== (messages === undefined),
  "needs either prompt or messages",
] as const;

/** The same in the words of the SDK. */
export interface LlmRequest {
  system?: string;
  messages: ModelMessage[];
  temperature?: number;
  topP?: number;
  maxOutputTokens?: number;
  stopSequences?: string[];
  seed?: number;
  providerOptions: { openaiCompatible: { strictJsonSchema: boolean; reasoningEffort?: string } };
}

export function toRequest(input: RequestInput, { strict = false } = {}): LlmRequest {
  const { system, temperature, top_p: topP, max_output_tokens: maxOutputTokens, seed } = input;
  return {
    messages: input.messages ?? [{ role: "user", content: input.prompt! }],
    ...defined({ system, temperature, topP, maxOutputTokens, seed }),
    ...(input.stop !== undefined && { stopSequences: [input.stop].flat() }),
    providerOptions: {
      openaiCompatible: { strictJsonSchema: strict, ...defined({ reasoningEffort: input.reasoning_effort }) },
    },
  };
}

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
