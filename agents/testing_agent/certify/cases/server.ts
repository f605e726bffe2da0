/** A server that goes away, forgets, or says more than an executor knows. */
import { isJsonObject, type Json, type JsonObject } from "../../../../core/json.ts";
import { equal } from "../../expect.ts";
import { type Answer, Cut, jsonAnswer, parse, reportsIn } from "../proxy.ts";
import { type Case, LEASE_MS, registrationIn, wasPerformedOnce } from "../rig.ts";

/** Long enough for the server to go away while it runs. */
const AT_WORK_MS = 500;
const ENDLESS_MS = 600_000;

const unavailable = jsonAnswer(
  {
    type: "/problems/DATABASE_UNAVAILABLE",
    title: "The database cannot be reached",
    status: 503,
    code: "DATABASE_UNAVAILABLE",
    detail: "The kit plays a server whose database is away.",
  },
  503,
);

export const serverAway: Case = {
  name: "server-away",
  title: "It outlives a server that is away for a while, and then reports what it has done meanwhile",
  async play({ begin, goesOn, intercept, proxy, step, until }) {
    step("begin a task");
    const work = await begin([{ id: "sleep", capability: "certify.sleep", input: { ms: AT_WORK_MS } }]);
    await work.noted("sleep", "started");

    step("cut every connection until it has tried to report");
    const tried = { cut: 0, refused: 0 };
    const back = intercept("all", async (exchange) => {
      const isReport = reportsIn(exchange).length > 0;
      if (tried.cut > 0 && (isReport || tried.refused > 0)) {
        if (isReport) tried.refused += 1;
        return unavailable;
      }
      if (isReport) tried.cut += 1;
      throw new Cut();
    });
    proxy.cutAll();
    await until("it tries to report", () => tried.cut > 0 || undefined);
    step("answer 503 until it has tried again");
    await until("it reports again", () => tried.refused > 0 || undefined);
    back();
    step("let the server come back");
    await work.finished();
    wasPerformedOnce("the task", await work.task("sleep"));
    await goesOn();
  },
};

export const forgotten: Case = {
  name: "forgotten",
  title: "It registers again when the server does not know it any more",
  async play({ agent, begin, proxy, registration, step, until }) {
    step("remove it from the registry");
    const { id } = registration();
    const known = proxy.exchanges.length;
    const old = agent();
    await old.leave();
    // A server remembers tokens for a moment.
    await until("the server refuses its token", () =>
      old.heartbeat({ leases: [] }).then(
        () => undefined,
        () => true,
      ),
    );
    // Otherwise a long-poll that waits would learn of it only at its end.
    proxy.endPolls();
    step("have it register again");
    const work = await begin([{ id: "echo", capability: "certify.echo" }]);
    const again = await until("it registers again", () => registrationIn(proxy, known));
    equal("whether it is a new agent", again.id !== id, true);
    step("perform a task");
    await work.finished();
    const { status, agent_id } = await work.task("echo");
    equal("who performed the task", { status, agent_id }, { status: "completed", agent_id: again.id });
  },
};

export const unknownFields: Case = {
  name: "unknown-fields",
  title: "It ignores what it does not know in every answer, from the registration to the report",
  async play({ begin, intercept, start, step, subject }) {
    step("start it again, and add fields to all answers");
    await subject.kill();
    intercept("all", async (_, forward) => withMore(await forward()));
    await start();
    step("perform a task");
    const short = await begin([{ id: "echo", capability: "certify.echo", input: { a: 1 } }]);
    await short.finished();
    const task = await short.task("echo");
    wasPerformedOnce("the task", task);
    equal("its output", task.output, { a: 1 });
    step("keep a lease, then cancel its task");
    const input = { ms: ENDLESS_MS };
    const long = await begin([{ id: "sleep", capability: "certify.sleep", input }], { leaseMs: LEASE_MS });
    await long.noted("sleep", "started");
    await long.cancel();
  },
};

const more: JsonObject = { "x-certify": { added: ["by the kit", 1, null] } };

/** In the answer, and in each object of the lists that it holds. */
function withMore(answer: Answer): Answer {
  if (!answer.type.includes("json")) return answer;
  const body = Object.entries(parse(answer.text)).map(([name, value]): [string, Json] => [
    name,
    Array.isArray(value) ? value.map((item) => (isJsonObject(item) ? { ...item, ...more } : item)) : value,
  ]);
  return { ...answer, text: JSON.stringify({ ...Object.fromEntries(body), ...more }) };
}
