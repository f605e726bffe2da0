/** Members of experiments who take part in a conversation that is kept elsewhere: in a store, or by a server. */
import { isJsonObject, type Json } from "../json.ts";
import { behaviourOf, type FailureKind } from "./behaviour.ts";
import { hear } from "./member.ts";
import { type Act, beginMind, type Incoming, type Mind } from "./mind.ts";

type Speech = Act & { act: "say" };

/** A message as it stands in an inbox. */
interface InboxMessage {
  number: number;
  type: string | null;
  body: Json;
}

/** Where the conversation is. */
export interface Scene {
  /** What came to a member after the message of this number, in order. */
  read(member: string, after: number): Promise<readonly InboxMessage[]>;
  say(member: string, id: string, speech: { type: string; body: Json }): Promise<unknown>;
  isOver(): Promise<boolean>;
  /** Lets the next deadline pass. */
  letTimePass(): Promise<void>;
}

export const actedMembers = ["ada", "bob", "eve", "joe"];

/** Says everything so often: more than `flood_limit` allows where that is lower. */
const COPIES = 12;
const MOST_TURNS = 500;

/**
 * Acts until the conversation is over: each member hears what it was told, and says at once what it makes of it. When
 * nobody says anything any more, a deadline passes; then comes what was late. `betweenActs` is called after everything said.
 */
export async function actOut(
  scene: Scene,
  failing: { member: string; kind: FailureKind } | undefined,
  betweenActs: (said: number) => Promise<void> = async () => {},
): Promise<void> {
  const actors = actedMembers.map((name) => ({ mind: mindOf(name, failing), heard: 0, said: 0 }));
  let late: { actor: (typeof actors)[number]; act: Speech }[] = [];
  let said = 0;
  const speak = async ({ actor, act: { type, body } }: (typeof late)[number]) => {
    actor.said += 1;
    said += 1;
    await scene.say(actor.mind.name, `${actor.mind.name}-${actor.said}`, { type, body });
    await betweenActs(said);
  };
  for (let turns = 0; !(await scene.isOver()); turns++) {
    if (turns > MOST_TURNS) throw new Error(`The conversation is not over after ${MOST_TURNS} turns.`);
    let isQuiet = true;
    for (const actor of actors) {
      for (const message of await scene.read(actor.mind.name, actor.heard)) {
        actor.heard = message.number;
        const incoming = incomingOf(message);
        if (!incoming) continue;
        const { mind, acts } = hear(actor.mind, incoming);
        actor.mind = mind;
        const speeches = acts.filter((act): act is Speech => act.act === "say").map((act) => ({ actor, act }));
        if (mind.failure?.kind === "late") late.push(...speeches);
        else for (const speech of speeches) await speak(speech);
        isQuiet &&= speeches.length === 0 || mind.failure?.kind === "late";
      }
    }
    if (!isQuiet) continue;
    await scene.letTimePass();
    for (const speech of late) await speak(speech);
    late = [];
  }
}

/** All hold the truth, do the work at a cost of their own, and hand nothing on. */
function mindOf(name: string, failing: { member: string; kind: FailureKind } | undefined): Mind {
  return beginMind({
    name,
    team: actedMembers,
    options: ["south", "north"],
    truth: "south",
    behaviour: behaviourOf({ kind: "honest", cost: 1 + actedMembers.indexOf(name) }),
    failure: name === failing?.member ? { kind: failing.kind, copies: COPIES } : null,
    random: 1,
  });
}

function incomingOf({ number, type, body }: InboxMessage): Incoming | undefined {
  if (type === null || !isJsonObject(body)) return undefined;
  const { from = null, body: said = {}, expects = null, at = 0 } = body as unknown as Partial<Incoming>;
  return { seq: number, at, from, type, body: said, expects };
}
