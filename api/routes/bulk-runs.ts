/** `POST /runs/bulk`: one thing done to all runs that a filter names. */
import { bulkAnswer, bulkBody } from "../../core/protocol/runs.ts";
import { bulk } from "../bulk.ts";
import type { ApiContext, App } from "../context.ts";

export async function bulkRunRoutes(app: App, context: ApiContext): Promise<void> {
  app.post(
    "/runs/bulk",
    {
      config: { scope: "runs:write" },
      schema: {
        tags: ["runs"],
        summary: "Cancel, retry, pause or resume all runs that a filter names",
        description:
          "Confirmed by `expected`, the number that a `dry_run` has answered, or by `all`. Works for some seconds; while `next_cursor` is not null, send the same with it as `cursor`. Repeating it is safe: a run that has been retried is not retried again. Runs in history are not touched.",
        body: bulkBody,
        response: { 200: bulkAnswer },
      },
    },
    async (request) => bulk(context, request.principal, request.body),
  );
}
