/** What an executor says and hears: claim, heartbeat, report, release. Everything takes many at once. */
import { z } from "zod";
import { MAX_DURATION_MS } from "../duration.ts";
import { dataEffects } from "./agent-data.ts";
import { givenTime, json, jsonObject, MAX_WAIT_SECONDS, name, uuid } from "./common.ts";

/** A claim takes no more than this at once, and a report brings no more. */
export const MAX_BATCH = 1_000;

const requestId = z.string().min(1).max(128).meta({ description: "Repeat it to get the same answer again" });

export const claimBody = z
  .strictObject({
    request_id: requestId,
    capabilities: z
      .array(name)
      .max(MAX_BATCH)
      .optional()
      .meta({ description: "Of those the agent registered; default all of them" }),
    task_ids: z.array(uuid).max(MAX_BATCH).optional().meta({ description: "Wishes: the hints in hand" }),
    max: z.number().int().min(1).max(MAX_BATCH),
    wait: z
      .number()
      .min(0)
      .max(MAX_WAIT_SECONDS)
      .optional()
      .meta({ description: "Seconds to wait for work; default 0" }),
  })
  .meta({ id: "Claim" });
export type ClaimBody = z.infer<typeof claimBody>;

export const lease = z
  .object({
    task_id: uuid,
    key: z.string(),
    run_id: uuid,
    attempt: z.number().int(),
    lease_token: z.string(),
    lease_ms: z.number().int(),
    timeout_ms: z.number().int(),
    capability: z.string(),
    input: json,
    idempotency_key: z.string().meta({ description: "The same for every attempt of the task" }),
    traceparent: z.string().nullable(),
  })
  .meta({ id: "Lease" });
export type LeaseBody = z.infer<typeof lease>;

export const claimAnswer = z.object({ tasks: z.array(lease) }).meta({ id: "ClaimAnswer" });
export type ClaimAnswer = z.infer<typeof claimAnswer>;

const leaseProof = z.strictObject({
  task_id: uuid,
  attempt: z.int32().min(1),
  lease_token: z.string().max(256),
});
export type LeaseProofBody = z.infer<typeof leaseProof>;

export const heartbeatBody = z
  .strictObject({ leases: z.array(leaseProof.extend({ progress: json.optional() })).max(MAX_BATCH) })
  .meta({ id: "Heartbeat" });
export type HeartbeatBody = z.infer<typeof heartbeatBody>;

export const heartbeatAnswer = z
  .object({
    leases: z.array(z.object({ task_id: uuid, attempt: z.number().int(), state: z.enum(["ok", "lost", "cancel"]) })),
  })
  .meta({ id: "HeartbeatAnswer", description: "One answer a lease, in the order asked" });
export type HeartbeatAnswerBody = z.infer<typeof heartbeatAnswer>;

export const reportedLog = z.strictObject({
  at: givenTime,
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string().max(8192),
  fields: jsonObject.optional(),
});
export type ReportedLogBody = z.infer<typeof reportedLog>;

/** Log lines a report may bring; the SDK drops the oldest beyond it and says so. */
export const MAX_LOG_LINES = 1_000;

const emission = {
  map: z.string().max(1024).meta({ description: "The id of an open map, as it is called where the task stands" }),
  items: z
    .array(z.strictObject({ item: json, key: z.string().min(1).max(256).optional() }))
    .max(MAX_BATCH)
    .default([])
    .meta({ description: "An item whose key the map has already is ignored" }),
  close: z.boolean().default(false).meta({ description: "No more will come, from anybody" }),
};

export const emitBody = leaseProof.extend(emission).meta({ id: "Emit" });
export type EmitBody = z.input<typeof emitBody>;
export const emitAnswer = z.object({ added: z.number().int(), repeated: z.number().int() }).meta({ id: "EmitAnswer" });
export type EmitAnswer = z.infer<typeof emitAnswer>;

const effects = z
  .strictObject({
    spawn: z
      .array(json)
      .max(MAX_BATCH)
      .optional()
      .meta({ description: "Tasks to add to the run, as in a workflow; they may need one another" }),
    emit: z.array(z.strictObject(emission)).max(MAX_BATCH).optional(),
    ...dataEffects,
  })
  .meta({ description: "What a success brings along; if it cannot be done, the attempt has failed" });

export const reportItem = leaseProof
  .extend({
    outcome: z.enum(["completed", "failed"]),
    output: json.optional(),
    error: z
      .strictObject({
        code: z.string().min(1).max(128),
        message: z.string().max(8192),
        retryable: z.boolean().optional(),
        retry_after_ms: z.number().min(0).max(MAX_DURATION_MS).optional(),
      })
      .optional(),
    effects: effects.optional(),
    logs: z.array(reportedLog).max(MAX_LOG_LINES).optional(),
    usage: jsonObject.optional(),
    delivered_at: givenTime.optional().meta({ description: "Executor's clock: when the hint arrived" }),
    started_at: givenTime.optional().meta({ description: "Executor's clock: when the handler began" }),
  })
  .refine((item) => item.outcome === "completed" || item.error !== undefined, {
    error: "a failed outcome needs an `error`",
    path: ["error"],
  });
export type ReportItem = z.infer<typeof reportItem>;

export const reportBody = z
  .strictObject({
    request_id: requestId,
    reports: z.array(reportItem).max(MAX_BATCH),
    claim: z
      .strictObject({
        capabilities: z.array(name).max(MAX_BATCH).optional(),
        max: z.number().int().min(1).max(MAX_BATCH),
      })
      .optional()
      .meta({ description: "Take new work with the answer" }),
  })
  .meta({ id: "Report" });
export type ReportBody = z.infer<typeof reportBody>;

export const reportAnswer = z
  .object({
    reports: z.array(
      z.object({
        task_id: uuid,
        attempt: z.number().int(),
        result: z.enum(["accepted", "duplicate", "stale", "invalid"]),
        message: z.string().optional(),
      }),
    ),
    tasks: z.array(lease).optional(),
  })
  .meta({ id: "ReportAnswer", description: "One result a report, in the order sent" });
export type ReportAnswerBody = z.infer<typeof reportAnswer>;

export const releaseBody = z.strictObject({ leases: z.array(leaseProof).max(MAX_BATCH) }).meta({ id: "Release" });
export type ReleaseBody = z.infer<typeof releaseBody>;
export const releaseAnswer = z
  .object({ leases: z.array(z.object({ task_id: uuid, attempt: z.number().int(), released: z.boolean() })) })
  .meta({ id: "ReleaseAnswer" });
export type ReleaseAnswer = z.infer<typeof releaseAnswer>;
