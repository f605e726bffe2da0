/** How long a silent agent still counts as present. */

/** An agent not seen for this long is lost: three heartbeat intervals of 10 s. */
export const AGENT_TTL_MS = 30_000;
/** An agent is there for as long as it has been heard of within this. */
export const AGENT_TTL = `interval '${AGENT_TTL_MS} milliseconds'`;
