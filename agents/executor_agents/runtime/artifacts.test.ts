import { expect, it } from "vitest";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { artifactsOf } from "./artifacts.ts";
import { attemptOver, lease, lost, refusal } from "./attempt.suite.ts";
import { stopAttempt } from "./attempt.ts";

/** An attempt whose server gives these answers, one after another; what it was asked. */
function attemptWith(...answers: (() => Response)[]) {
  const asked: { method: string; path: string; headers: Record<string, string> }[] = [];
  const send: typeof fetch = async (url, init) => {
    const { pathname } = new URL(String(url));
    asked.push({ method: init!.method!, path: pathname, headers: init!.headers as Record<string, string> });
    return answers.shift()!();
  };
  const attempt = attemptOver(send);
  return { attempt, artifacts: artifactsOf(attempt), asked };
}

it("reads under the lease, and asks again when an answer is lost or the server is in trouble", async () => {
  const content = () => new Response("x", { headers: { "content-type": "text/plain", etag: '"abc"' } });
  const { artifacts, asked } = attemptWith(lost, refusal(503, "DATABASE_UNAVAILABLE"), content);
  const found = await artifacts.read("a/b");
  expect([found.content.toString(), found.contentType, found.sha256]).toEqual(["x", "text/plain", "abc"]);
  const request = {
    method: "GET",
    path: `/v1/runs/${lease.run_id}/artifacts/a%2Fb`,
    headers: { authorization: "Bearer token", "skein-lease": `${lease.task_id} 2 first` },
  };
  expect(asked).toMatchObject([request, request, request]);
});

it("goes by the lease as it is now", async () => {
  const { attempt, artifacts, asked } = attemptWith(lost, () => Response.json({ data: [], next_cursor: null }));
  const listing = artifacts.list();
  attempt.lease = { ...lease, lease_token: "second" };
  await listing;
  expect(asked.map(({ headers }) => headers["skein-lease"])).toEqual([
    `${lease.task_id} 2 first`,
    `${lease.task_id} 2 second`,
  ]);
});

it.each([
  [404, "ARTIFACT_NOT_FOUND", true],
  [412, "ARTIFACT_CONFLICT", true],
  [413, "ARTIFACT_LIMIT_EXCEEDED", true],
  [409, "LEASE_LOST", false],
  [401, "UNAUTHENTICATED", false],
])("fails for %s %s, for good: %s", async (status, code, isFinal) => {
  const { artifacts } = attemptWith(refusal(status, code));
  const error = await artifacts.write("a", "x").catch((thrown: unknown) => thrown);
  expect([error instanceof TaskError, error instanceof NonRetryableError]).toEqual([true, isFinal]);
  expect(error).toMatchObject({ code, message: "because" });
});

it("ends with the attempt, for its reason", async () => {
  const { attempt, artifacts } = attemptWith(() => {
    stopAttempt(attempt, new Error("cancelled"));
    return lost();
  });
  await expect(artifacts.read("a")).rejects.toThrow("cancelled");
});
