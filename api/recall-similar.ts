/** Memory by meaning: entries get their vectors when somebody looks for something like them, so nobody pays who never does. */
import { type Embedder, embeddedText } from "../core/embedding.ts";
import { SkeinError } from "../core/errors.ts";
import type { AgentDataStore, MemoryEntry, MemoryFilter } from "../store/store.ts";

interface Wish extends Pick<MemoryFilter, "type" | "search"> {
  similarTo: string;
  limit: number;
}

/** Texts that a model is asked for at once. */
const BATCH = 64;

/** The closest first. Throws FEATURE_UNAVAILABLE without a model, and what asking it throws. */
export async function recallSimilar(
  data: AgentDataStore,
  embedder: Embedder | undefined,
  { namespace, name }: { namespace: string; name: string },
  { similarTo, limit, ...entries }: Wish,
  signal: AbortSignal,
): Promise<(MemoryEntry & { similarity: number })[]> {
  if (!embedder) {
    throw new SkeinError(
      "FEATURE_UNAVAILABLE",
      "No model is configured that memory could be searched by meaning with: set SKEIN_EMBEDDINGS_URL and SKEIN_EMBEDDINGS_MODEL of the orchestrator, or search by words (`search`).",
    );
  }
  const { model } = embedder;
  const [vector] = await embedder.embed([embeddedText(similarTo)], signal);
  const filter = { ...entries, model, vector: vector! };
  for (;;) {
    const missing = await data.entriesToEmbed(namespace, name, { ...filter, limit: BATCH });
    if (missing.length === 0) break;
    const vectors = await embedder.embed(
      missing.map(({ content }) => embeddedText(content)),
      signal,
    );
    if (vectors.some(({ length }) => length !== vector!.length)) {
      const message = `"${model}" answers with vectors of different lengths; give it one length, or another model (SKEIN_EMBEDDINGS_MODEL).`;
      throw new SkeinError("EMBEDDINGS_FAILED", message);
    }
    const embedded = missing.map(({ id }, index) => ({ id, vector: vectors[index]! }));
    await data.keepVectors(namespace, name, { model, entries: embedded });
  }
  return data.recallSimilar(namespace, name, { ...filter, limit });
}
