import type { RunEvent } from "../../../core/event.ts";
import { equal, isTrue } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const eventsResumed: Scenario = {
  name: "events-resumed",
  title: "A stream of events that breaks is resumed after the last one seen: none is missed, none comes twice",
  async play({ client, unique, submit, join, claim, report, watch, signal, step }) {
    const agent = await join(unique);
    const tasks = [
      { id: "before", capability: "core.echo" },
      { id: "hold", needs: ["before"], capability: unique },
      { id: "after", needs: ["hold"], capability: "core.echo" },
    ];
    const run = await submit({ definition: { name: "events-resumed", tasks } });
    const read = async (after?: string, until = (_: RunEvent) => false) => {
      const events: RunEvent[] = [];
      for await (const event of client.runs.events(run.id, after, signal)) {
        events.push(event);
        if (until(event)) break;
      }
      return events;
    };

    step("follow the run until its middle, and hang up");
    const lease = await claim(agent);
    const begun = await read(undefined, (event) => event.type === "task.claimed" && Object(event).key === "hold");

    step("let it go on, and resume the stream with Last-Event-ID");
    await report(agent, completed(lease, null));
    const rest = await read(begun.at(-1)!.id);
    equal("the last event", rest.at(-1)?.type, "run.completed");

    step("read it all anew, as a stream and as pages");
    const all = await watch(run.id);
    const ids = all.map(({ id }) => id);
    equal("what both parts have told", [...begun, ...rest], all);
    isTrue("no id comes twice", new Set(ids).size === ids.length, ids);
    const paged: unknown[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await client.runs.eventPage(run.id, { limit: 3, ...(cursor && { cursor }) });
      paged.push(...page.data);
      cursor = page.next_cursor;
    }
    equal("what the pages have", paged, all);

    step("resume after each event");
    for (const [n, id] of ids.entries()) equal(`what comes after event ${n + 1}`, await read(id), all.slice(n + 1));
  },
};
