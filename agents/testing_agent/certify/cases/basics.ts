/** What an executor does all day: register, perform, fail, and take no more than it can hold. */
import { isJsonObject, type Json } from "../../../../core/json.ts";
import type { ClaimBody, ReportBody } from "../../../../core/protocol/tasks.ts";
import { equal, includes, isTrue } from "../../expect.ts";
import { leasesIn } from "../proxy.ts";
import { type Case, capabilities, offeredBy, outcomesOf, type Rig, SLOTS, wasPerformedOnce } from "../rig.ts";

const QUICKLY = { max_attempts: 2, initial_delay: "10ms", jitter: false };

export const registration: Case = {
  name: "registration",
  title: "It registers what it offers, with schemas, and as many slots as it was told to have",
  async play({ client, registration, step }) {
    step("read its registration");
    const { id, body } = registration();
    const offered = offeredBy({ ...registration(), body });
    const missing = capabilities.filter((name) => !offered.includes(name));
    equal("the capabilities that are missing", missing, []);
    equal("its slots, as SKEIN_SLOTS says", body.slots ?? 1, SLOTS);
    const invalid = body.capabilities.find((one) => typeof one !== "string" && one.name === "certify.invalid");
    const schema = isJsonObject(invalid) ? invalid.output_schema : undefined;
    isTrue("certify.invalid is registered with its output_schema", isJsonObject(schema), invalid);

    step("find it in the registry");
    const { status, capabilities: known } = await client.agents.get(id);
    equal("its status", status, "live");
    equal(
      "what the registry misses of it",
      capabilities.filter((name) => !known.includes(name)),
      [],
    );
  },
};

/** What text encodings and number types are known to spoil. */
const awkward: Json = {
  text: 'Ünïcödé 🦢 "quoted" \\ \n end',
  numbers: [0, -1, 1.5, 9007199254740991],
  nothing: null,
  empty: [{}, [], ""],
  "a key/with~signs": { deep: [[[true]]] },
};

export const echo: Case = {
  name: "echo",
  title: "It performs a task, and reports its output once and unchanged",
  async play({ begin, goesOn, step }) {
    step("perform certify.echo");
    const work = await begin([{ id: "echo", capability: "certify.echo", input: { awkward } }]);
    await work.finished();
    const task = await work.task("echo");
    wasPerformedOnce("the task", task);
    equal("its output", task.output, { awkward });

    step("perform another one");
    await goesOn();
    const results = work.reports("echo").map(({ result }) => result);
    equal("the answers to its reports of the first task", results, ["accepted"]);
  },
};

export const slots: Case = {
  name: "slots",
  title: "It never holds more tasks than it has slots",
  async play({ begin, intercept, step }) {
    step(`perform ${TASKS} tasks in ${SLOTS} slots`);
    const most = { asked: 0, held: 0, running: 0 };
    let granted = 0;
    let work: Awaited<ReturnType<Rig["begin"]>> | undefined;
    const count = (event: string) => ids.reduce((sum, id) => sum + (work?.notes(id, event).length ?? 0), 0);
    intercept(["claim", "report"], async ({ route, request }, forward) => {
      const claim = route === "claim" ? (request as unknown as ClaimBody) : (request as unknown as ReportBody).claim;
      most.asked = Math.max(most.asked, claim?.max ?? 0);
      const answer = await forward();
      granted += leasesIn(answer).filter(({ key }) => ids.includes(key)).length;
      // A handler notes its end before it returns: whoever is not at its end holds a slot.
      most.held = Math.max(most.held, granted - count("finished"));
      most.running = Math.max(most.running, count("started") - count("finished"));
      return answer;
    });
    work = await begin(ids.map((id) => ({ id, capability: "certify.sleep", input: { ms: SHORT_MS } })));
    await work.finished();
    for (const id of ids) wasPerformedOnce(`task ${id}`, await work.task(id));
    isTrue(`no claim asks for more than ${SLOTS}`, most.asked <= SLOTS, most);
    isTrue(`no more than ${SLOTS} tasks are held at once`, most.held <= SLOTS, most);
    isTrue(`no more than ${SLOTS} handlers run at once`, most.running <= SLOTS, most);
  },
};

const TASKS = 6;
const SHORT_MS = 150;
const ids = Array.from({ length: TASKS }, (_, i) => `sleep-${i}`);

const RETRY_AFTER_MS = 1_000;
/** The database rounds to milliseconds, and its clock may be set. */
const TOLERANCE_MS = 20;

export const failures: Case = {
  name: "failures",
  title: "Its handlers' failures arrive as they were meant: retryable, final, or to be retried later",
  async play({ begin, step }) {
    step("fail in three ways");
    const failure = { code: "OUT_OF_PAPER", message: "The printer is empty: 🖨" };
    const work = await begin(
      [
        { id: "retryable", capability: "certify.fail", input: failure },
        { id: "final", capability: "certify.fail", input: { ...failure, retryable: false } },
        { id: "later", capability: "certify.fail", input: { ...failure, retry_after_ms: RETRY_AFTER_MS } },
      ],
      { retry: QUICKLY },
    );
    await work.finished();
    const [retryable, final, later] = await Promise.all(["retryable", "final", "later"].map(work.task));

    step("read what became of them");
    for (const task of [retryable!, final!, later!]) {
      const { code, message } = task.error ?? {};
      equal(`the error of "${task.key}"`, { code, message }, failure);
    }
    equal('the attempts at "retryable"', outcomesOf(retryable!), ["failed", "failed"]);
    equal('the attempts at "final"', outcomesOf(final!), ["failed"]);
    equal('the attempts at "later"', outcomesOf(later!), ["failed", "failed"]);
    const [first, second] = later!.attempts;
    const pauseMs = Date.parse(second!.started_at!) - Date.parse(first!.ended_at!);
    isTrue(`"later" pauses for retry_after_ms`, pauseMs >= RETRY_AFTER_MS - TOLERANCE_MS, `${pauseMs} ms`);
  },
};

/** The limit of one output is 8 MiB. */
const TOO_BIG_BYTES = 9 * 1_024 * 1_024;

export const bigOutput: Case = {
  name: "big-output",
  title: "An output beyond the limit fails its task with a clear code, once, and the executor goes on",
  async play({ begin, goesOn, step }) {
    step("return 9 MiB");
    const input = { bytes: TOO_BIG_BYTES };
    const work = await begin([{ id: "big", capability: "certify.big", input }], { retry: QUICKLY });
    await work.finished();
    const task = await work.task("big");
    includes("the code of its error", task.error?.code ?? "", "_TOO_LARGE");
    equal("the attempts, since another would not help", outcomesOf(task), ["failed"]);
    step("perform another task");
    await goesOn();
  },
};

export const invalidOutput: Case = {
  name: "invalid-output",
  title: "An output that breaks its schema fails its task with OUTPUT_INVALID and a pointer to the field",
  async play({ begin, goesOn, step }) {
    step("return a text where the schema wants a number");
    const work = await begin([{ id: "invalid", capability: "certify.invalid" }], { retry: QUICKLY });
    await work.finished();
    const { error, ...task } = await work.task("invalid");
    equal("the code of its error", error?.code, "OUTPUT_INVALID");
    includes("the message of its error", error?.message ?? "", "/n");
    equal("the attempts, since another would not help", outcomesOf({ error, ...task }), ["failed"]);
    step("perform another task");
    await goesOn();
  },
};
