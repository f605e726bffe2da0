/** The AI SDK, loaded when a model is first asked: it takes 0.2 s, which a process that never asks one need not wait. */
export async function loadSdk() {
  const [ai, { createOpenAICompatible }] = await Promise.all([import("ai"), import("@ai-sdk/openai-compatible")]);
  return { ...ai, createOpenAICompatible };
}

export type Sdk = Awaited<ReturnType<typeof loadSdk>>;
