/**
 * A member of conversations: bids for work, argues and votes for what it thinks. Started once for each member:
 * SKEIN_URL=http://127.0.0.1:8080 npx tsx examples/conversations/member.ts ada 3 south
 */
// In a project of your own: from "skein"
import { participate, type Turn } from "../../index.ts";

const [name = "ada", cost = "1", opinion = "south"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

function speak({ type, body }: Turn) {
  switch (type) {
    // contract net
    case "call":
      if ("options" in body || "method" in body) return { type: "vote", body: { choice: opinion } };
      return { type: "bid", body: { cost: Number(cost) } };
    case "award":
      return { type: "result", body: { content: `${name} has done: ${String(body.topic)}` } };
    // debate
    case "turn":
      return { type: "statement", body: { content: `${name} says ${opinion}.`, position: opinion } };
    // request and reply
    case "request":
      return { type: "reply", body: { content: opinion } };
    default:
      return undefined;
  }
}

const { SKEIN_URL: url = "http://127.0.0.1:8080", SKEIN_API_KEY: apiKey } = process.env;
await participate({ url, ...(apiKey !== undefined && { apiKey }), name, signal: stop.signal }, speak);
