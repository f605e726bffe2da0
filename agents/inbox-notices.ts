/** What the broker tells of an agent's inbox. */
import { agentNoticePatterns, type Transport } from "../transport/transport.ts";

/** Of messages to the agent of this name, to topics, and to all; whether they are for it, the inbox says. */
export function inboxNotices(transport: Transport, name: string) {
  return async (onNews: () => void): Promise<{ cancel(): Promise<void> }> => {
    const hear = (_key: string, body: unknown) => {
      // Where so many have it that they are not named, it may be among them.
      const { inboxes } = body as { inboxes?: string[] };
      if (!inboxes || inboxes.includes(name)) onNews();
    };
    const patterns = agentNoticePatterns(name);
    const subscriptions = await Promise.all(
      patterns.map((pattern) => transport.subscribeEvents(pattern, hear, { about: "agents" })),
    );
    // What was told of while the broker was away is missed, so it is looked for.
    const stop = transport.onState((state) => state === "connected" && onNews());
    return {
      async cancel() {
        stop();
        await Promise.all(subscriptions.map((subscription) => subscription.cancel()));
      },
    };
  };
}
