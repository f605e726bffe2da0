/** `skein.participate` while a server is away: a member waits for it, says once what it has to say, and still leaves when it is to. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { listenLocally } from "../../test/local-server.ts";
import { findPython } from "../../test/services/python.ts";

const python = await findPython();

/** Leaves when a line comes. */
const program = `
import sys, threading, skein
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
skein.participate("eve", lambda turn: {"type": "vote", "body": {"choice": "south"}}, stop=stop)
print("left")
`;
const turn = {
  id: "m",
  from: { kind: "system", name: "skein" },
  type: "call",
  conversation: "c",
  body: { protocol: "vote", from: null, body: {}, expects: null },
};

interface Answer {
  status: number;
  body?: unknown;
  retryAfter?: string;
  /** The member is told to leave once this is answered. */
  isLast?: true;
}
const away = { status: 503, body: { code: "DATABASE_UNAVAILABLE", detail: "Away." } };

/** What a member asks for that is answered so, by method and the end of the path; else there is nothing. */
async function member(answers: Record<string, Answer[]>): Promise<{ asked: string[]; said: string }> {
  const asked: string[] = [];
  const server = createServer(async (request, reply) => {
    const body = await text(request);
    const path = request.url!.replace(/\?.*/, "").split("/").slice(-1)[0];
    const name = `${request.method} ${path}`;
    asked.push(body.includes('"id"') ? `${name} ${(JSON.parse(body) as { id: string }).id}` : name);
    const registered = { id: "eve-1", agent_token: "t" };
    const usual: Answer =
      name === "POST agents" ? { status: 201, body: registered } : { status: 200, body: { messages: [] } };
    const answer = answers[name]?.shift() ?? usual;
    reply.writeHead(answer.status, answer.retryAfter === undefined ? {} : { "retry-after": answer.retryAfter });
    reply.end(JSON.stringify(answer.body));
    if (answer.isLast) child.stdin.write("\n");
  });
  const { url, close } = await listenLocally(server);
  const env = { PATH: process.env.PATH, PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: "1", SKEIN_URL: url };
  const child = spawn(python!, ["-c", program], { env });
  const said = text(child.stdout);
  await once(child, "exit");
  await close();
  return { asked, said: (await said).trim() };
}

describe.skipIf(!python)("a member of conversations in Python", () => {
  it("waits for a server that is away for longer than any answer takes, and leaves meanwhile when it is told to", async () => {
    const { asked, said } = await member({ "GET inbox": [{ ...away, retryAfter: "30", isLast: true }] });
    expect([asked, said]).toEqual([["POST agents", "GET inbox", "DELETE eve-1"], "left"]);
  });

  it("says again, under the same id, what was not heard", async () => {
    const { asked, said } = await member({
      "GET inbox": [{ status: 200, body: { messages: [turn] } }],
      "POST messages": [away, away, { status: 201, body: {} }],
      "POST ack": [away, { status: 200, body: {}, isLast: true }],
    });
    expect(asked.slice(0, 7)).toEqual([
      "POST agents",
      "GET inbox",
      ...Array.from({ length: 3 }, () => "POST messages m.0"),
      "POST ack",
      "POST ack",
    ]);
    expect([asked.at(-1), said]).toEqual(["DELETE eve-1", "left"]);
  });
});
