/** `skein conversations`: starts them, follows them, draws them. */
import { writeFile } from "node:fs/promises";
import type { JsonObject } from "../core/json.ts";
import type { ConversationBody, diagramFormats } from "../core/protocol/conversations.ts";
import type { Context } from "./context.ts";
import { printAnswer, printJson, printTable, visible } from "./output.ts";
import { exitCodes } from "./problem.ts";
import { readObject } from "./read-file.ts";

export async function startConversation(context: Context, file: string, { wait }: { wait?: boolean }): Promise<number> {
  const client = await context.client();
  const started = await client.conversations.start((await readObject(context, file)) as JsonObject);
  if (!wait) {
    printAnswer(
      context,
      started,
      `Conversation ${started.id} has begun; skein conversations get ${started.id} shows it.`,
    );
    return exitCodes.ok;
  }
  const ended = await client.conversations.end(started.id, context.interrupt());
  print(context, ended);
  return ended.status === "completed" ? exitCodes.ok : exitCodes.runFailed;
}

export async function listConversations(
  context: Context,
  options: { status?: ConversationBody["status"]; limit?: number },
): Promise<void> {
  const client = await context.client();
  const { data } = await client.conversations.list(options);
  if (context.json) return printJson(context, data);
  printTable(
    context,
    ["ID", "PROTOCOL", "STATUS", "MEMBERS", "TOPIC"],
    data.map(({ id, protocol, status, members, topic }) => [
      id,
      protocol,
      status,
      String(members.length),
      typeof topic === "string" ? topic : JSON.stringify(topic),
    ]),
  );
}

export async function getConversation(context: Context, id: string): Promise<void> {
  const client = await context.client();
  print(context, await client.conversations.get(id));
}

function print(context: Context, found: ConversationBody): void {
  if (context.json) {
    printJson(context, found);
    return;
  }
  const { stdout, paint } = context;
  const { id, protocol, status, round, members, awaited, result, error, reason } = found;
  stdout.write(`${paint.bold(`conversation ${id}`)} ${protocol} ${status}, round ${round}\n`);
  for (const { name, role, presence, strikes } of members) {
    const facts = [role, presence === "present" ? null : presence, strikes > 0 ? `${strikes} strikes` : null];
    const turn = awaited.find(({ member }) => member === name);
    const told = [...facts.filter((fact) => fact !== null), ...(turn ? [`may say ${turn.types.join(", ")}`] : [])];
    stdout.write(`  ${visible(name)}${told.length > 0 ? `: ${told.join("; ")}` : ""}\n`);
  }
  if (error) stdout.write(`${visible(`${error.code}: ${error.message}`)}\n`);
  if (reason !== null) stdout.write(`${visible(reason)}\n`);
  if (result === null) return;
  for (const line of JSON.stringify(result, null, 2).split("\n")) stdout.write(`${visible(line)}\n`);
}

export async function transcript(context: Context, id: string): Promise<void> {
  const client = await context.client();
  for (let after = 0; ; ) {
    const { data } = await client.conversations.transcript(id, { after, limit: 1_000 });
    for (const entry of data) {
      if (context.json) {
        context.stdout.write(`${JSON.stringify(entry)}\n`);
        continue;
      }
      const { seq, at, from, to, type, body, misbehaviour } = entry;
      const what = misbehaviour === null ? (type ?? "") : `${type ?? ""} [${misbehaviour}]`;
      const whom = to.length > 0 ? ` → ${to.join(", ")}` : "";
      context.stdout.write(
        `${seq} ${at} ${visible(`${from ?? "conversation"}${whom}: ${what} ${JSON.stringify(body)}`)}\n`,
      );
    }
    if (data.length === 0) return;
    after = data.at(-1)!.seq;
  }
}

export async function drawConversation(
  context: Context,
  id: string,
  { format = "mermaid", out }: { format?: (typeof diagramFormats)[number]; out?: string },
): Promise<void> {
  const client = await context.client();
  const text = await client.conversations.draw(id, format);
  if (out === undefined) context.stdout.write(text);
  else await writeFile(out, text);
}

export async function cancelConversation(context: Context, id: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  printAnswer(context, await client.conversations.cancel(id, reason), `Conversation ${id} is over.`);
}
