/** `skein send`: a message from whoever holds the key. */
import { SkeinError } from "../core/errors.ts";
import type { Addressee, MessageBody } from "../core/protocol/agent-data.ts";
import type { Context } from "./context.ts";
import { counted, jsonOrText, printJson, toJson, visible } from "./output.ts";
import { exitCodes, UsageError } from "./problem.ts";

interface SendOptions {
  to?: string;
  topic?: string;
  broadcast?: boolean;
  type?: string;
  conversation?: string;
  key?: string;
  ask?: string;
}

export async function sendMessage(context: Context, body: string, options: SendOptions): Promise<number | undefined> {
  const { type, conversation, key, ask } = options;
  const message = {
    to: addresseeOf(options),
    body: jsonOrText(body),
    ...(type !== undefined && { type }),
    ...(conversation !== undefined && { conversation }),
    ...(key !== undefined && { key }),
  };
  const client = await context.client();
  if (ask !== undefined)
    return askFor(context, client.messages.request({ ...message, deadline: ask }, context.interrupt()));
  const { messages } = await client.messages.send([message]);
  if (context.json) {
    printJson(context, messages);
    return undefined;
  }
  const [{ id, repeated, recipients, missed = 0 }] = messages as [(typeof messages)[number]];
  const to = recipients === undefined ? "" : ` to ${counted(recipients, "agent")}`;
  const without = missed > 0 ? `; ${counted(missed, "agent")} had no room` : "";
  context.stdout.write(`${id} ${repeated ? "was sent before" : "is sent"}${to}${without}\n`);
  return undefined;
}

async function askFor(context: Context, asked: Promise<MessageBody>): Promise<number> {
  try {
    const reply = await asked;
    if (context.json) printJson(context, reply);
    else {
      context.note(`Reply of ${visible(reply.from.name)}:`);
      context.stdout.write(`${toJson(reply.body)}\n`);
    }
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === "NO_REPLY")) throw error;
    context.note(error.message);
    return exitCodes.runFailed;
  }
}

function addresseeOf({ to, topic, broadcast }: SendOptions): Addressee {
  if (to !== undefined) return to;
  if (topic !== undefined) return { topic };
  if (broadcast) return { broadcast };
  throw new UsageError("Say whom it is for: --to <agent>, --topic <topic> or --broadcast.");
}
