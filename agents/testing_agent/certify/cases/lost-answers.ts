/** Messages that come twice, and answers that do not come at all. */
import { equal, isTrue } from "../../expect.ts";
import { repeatHint } from "../hints.ts";
import { Cut, jsonAnswer, leasesIn, reportsIn } from "../proxy.ts";
import { type Case, type Rig, type Work, wasPerformedOnce } from "../rig.ts";

/** Long enough that what is repeated finds the handler at work. */
const AT_WORK_MS = 1_000;

export const duplicates: Case = {
  name: "duplicates",
  title: "Work that is delivered twice is performed once",
  async play(rig) {
    const { begin, board, goesOn, registration, step } = rig;
    step("begin a task");
    const tasks = [{ id: "once", capability: "certify.sleep", input: { ms: AT_WORK_MS } }] as const;
    const queue = registration().queues["certify.sleep"];
    const repeats =
      queue !== undefined && rig.amqpUrl !== undefined ? repeatHints(rig.amqpUrl, queue) : repeatLease(rig);
    const work = await begin(tasks);
    await work.noted("once", "started");

    step(queue === undefined ? "answer its next claim with the same lease" : "publish its hint twice more");
    await repeats(work);
    await work.finished();
    wasPerformedOnce("the task", await work.task("once"));
    step("perform another task");
    await goesOn();
    equal("how often its handler began", work.notes("once", "started").length, 1);
    equal("the notes", board.notes.filter((note) => note.about === work.notes("once")[0]!.about).length, 2);
  },
};

const repeatHints = (amqpUrl: string, queue: string) => async (work: Work) =>
  repeatHint(amqpUrl, queue, await work.lease("once"), 2);

/** Listens from now on, since the next claim may follow at once. */
function repeatLease({ intercept, until, begin }: Rig) {
  let given: unknown[] = [];
  let isRepeated = false;
  intercept(["claim"], async (_exchange, forward) => {
    if (given.length > 0 && !isRepeated) {
      isRepeated = true;
      return jsonAnswer({ tasks: given });
    }
    const answer = await forward();
    if (given.length === 0) given = leasesIn(answer);
    return answer;
  });
  return async () => {
    // A claim that was waiting already has to be answered before another one comes.
    await begin([{ id: "bait", capability: "certify.echo" }]);
    await until("it claims again", () => isRepeated || undefined);
  };
}

export const lostClaim: Case = {
  name: "lost-claim",
  title: "A claim whose answer is lost is repeated under its request_id, and no attempt is wasted",
  async play({ begin, intercept, proxy, step }) {
    step("lose the answer that brings a task");
    let lost: unknown;
    intercept(["claim", "report"], async ({ request }, forward) => {
      const answer = await forward();
      if (lost !== undefined || leasesIn(answer).length === 0) return answer;
      lost = request.request_id;
      throw new Cut();
    });
    const work = await begin([{ id: "echo", capability: "certify.echo" }]);
    await work.finished();
    isTrue("an answer was lost", lost !== undefined, lost);
    wasPerformedOnce("the task", await work.task("echo"));
    const sent = proxy.exchanges.filter(({ request }) => request.request_id === lost).length;
    isTrue("the request was repeated under its request_id", sent >= 2, { requests: sent });
  },
};

export const lostReport: Case = {
  name: "lost-report",
  title: "A report whose answer is lost is repeated, is a duplicate, and is no second result",
  async play({ begin, goesOn, intercept, step, until }) {
    for (const capability of ["certify.echo", "certify.fail"] as const) {
      step(`lose the answer to a report of ${capability}`);
      let isLost = false;
      const stop = intercept(["report"], async (exchange, forward) => {
        const answer = await forward();
        if (isLost || reportsIn(exchange).length === 0) return answer;
        isLost = true;
        throw new Cut();
      });
      const input = { code: "OUT_OF_PAPER", message: "The printer is empty.", retryable: false };
      const work = await begin([{ id: "task", capability, input }]);
      const results = await until("it repeats its report", () => {
        const all = work.reports("task").map(({ result }) => result);
        return all.length >= 2 && !all.includes(undefined) ? all : undefined;
      });
      equal("the answers to its reports", results, ["accepted", "duplicate"]);
      await work.finished();
      equal("the attempts", (await work.task("task")).attempts.length, 1);
      stop();
    }
    step("perform another task");
    await goesOn();
  },
};
