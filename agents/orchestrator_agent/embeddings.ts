/** Vectors of texts from an endpoint that speaks OpenAI's embeddings protocol. */
import { z } from "zod";
import { type Embedder, unitVector } from "../../core/embedding.ts";
import { SkeinError } from "../../core/errors.ts";
import { boundedFetch } from "../bounded-fetch.ts";

export interface EmbeddingsSettings {
  /** Up to and without `/embeddings`. */
  baseUrl: string;
  apiKey: string | undefined;
  model: string;
}

/** 64 vectors of 4,096 numbers as JSON take some 6 MiB. */
const MAX_ANSWER_BYTES = 32 * 1_024 * 1_024;
const TIMEOUT_MS = 30_000;
const MAX_REASON = 300;

const answer = z.object({
  data: z.array(z.object({ index: z.int().min(0), embedding: z.array(z.number()).min(1) })),
});

export function embedderAt({ baseUrl, apiKey, model }: EmbeddingsSettings): Embedder {
  const url = `${baseUrl.replace(/\/+$/, "")}/embeddings`;
  const send = boundedFetch({
    maxBytes: MAX_ANSWER_BYTES,
    tooLarge: () => new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`),
  });
  const failed = (what: string, remedy = "Try again later, or search by words (`search`).", cause?: unknown) => {
    const said = apiKey ? what.replaceAll(apiKey, "…") : what;
    const message = `"${model}" at ${new URL(url).host} made no vectors: ${said.slice(0, MAX_REASON)}. ${remedy}`;
    return new SkeinError("EMBEDDINGS_FAILED", message, { cause });
  };

  async function ask(input: readonly string[], signal: AbortSignal): Promise<unknown> {
    const response = await send(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model, input, encoding_format: "float" }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const text = await response.text();
    if (!response.ok) throw failed(`${response.status} ${text}`, remedyOf(response.status));
    return JSON.parse(text);
  }

  return {
    model,
    async embed(texts, signal) {
      let said: unknown;
      try {
        said = await ask(texts, signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw error instanceof SkeinError ? error : failed((error as Error).message, undefined, error);
      }
      const parsed = answer.safeParse(said);
      const found = new Map(parsed.data?.data.map(({ index, embedding }) => [index, embedding]));
      const vectors = texts.map((_, index) => found.get(index));
      const length = vectors[0]?.length;
      if (!vectors.every((vector) => vector !== undefined && vector.length === length)) {
        throw failed(
          `the answer does not have a vector of one length for each of ${texts.length} texts`,
          misconfigured,
        );
      }
      return vectors.map((vector) => unitVector(vector!));
    },
  };
}

const misconfigured = "Correct SKEIN_EMBEDDINGS_URL or SKEIN_EMBEDDINGS_MODEL.";

function remedyOf(status: number): string | undefined {
  if (status === 401 || status === 403) return "Correct SKEIN_EMBEDDINGS_KEY.";
  return status === 400 || status === 404 ? misconfigured : undefined;
}
