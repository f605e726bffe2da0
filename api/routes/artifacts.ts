/** The files of a run: for whoever may read or write runs, and for the attempts of its tasks under their leases. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { isMediaType } from "../../core/artifact.ts";
import { SkeinError } from "../../core/errors.ts";
import { artifact, artifactPath, artifactsQuery, LEASE_HEADER } from "../../core/protocol/artifacts.ts";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import type { Scope } from "../../core/protocol/keys.ts";
import type { ArtifactAccess, ArtifactRefusal, ArtifactWrite, LeaseProof } from "../../store/store.ts";
import { actingAgent, requireScope } from "../auth.ts";
import { readBytes } from "../bodies.ts";
import type { ApiContext, App } from "../context.ts";
import { artifactBody, pageBody } from "../wire.ts";
import { runNotFound, runParams } from "./runs.ts";

const artifactParams = z.object({ run: uuid, path: artifactPath });
const DEFAULT_TYPE = "application/octet-stream";
const bytes = z.unknown().meta({ description: "The content as it is, of any type" });

/** Content is what others chose: a browser must not take it for a page of ours. */
const contentHeaders = {
  "content-security-policy": "default-src 'none'; sandbox",
  "content-disposition": "attachment",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
};

export async function artifactRoutes(app: App, { store }: ApiContext): Promise<void> {
  readBytes(app);

  app.get(
    "/runs/:run/artifacts",
    {
      onRequest: requireAccess("runs:read"),
      schema: {
        tags: ["artifacts"],
        summary: "List the artifacts of a run by path",
        security: securityFor("runs:read"),
        params: runParams,
        querystring: artifactsQuery,
        response: { 200: pageOf(artifact) },
      },
    },
    async (request) => {
      const access = accessOf(request, request.params.run);
      return pageBody(granted(access, await store.artifacts.list(access, request.query)), artifactBody);
    },
  );

  app.get(
    "/runs/:run/artifacts/:path",
    {
      onRequest: requireAccess("runs:read"),
      schema: {
        tags: ["artifacts"],
        summary: "Read an artifact",
        description: "Its bytes, with the type they were written with; the `ETag` is their SHA-256.",
        security: securityFor("runs:read"),
        params: artifactParams,
        response: { 200: { description: "The content", content: { "*/*": { schema: bytes } } } },
      },
    },
    async (request, reply) => {
      const { run, path } = request.params;
      const access = accessOf(request, run);
      const found = await store.artifacts.read(access, path);
      if (found === "no_artifact") throw artifactNotFound(path);
      const { artifact, content } = granted(access, found);
      return reply
        .headers({ ...contentHeaders, etag: `"${artifact.sha256}"`, "content-type": artifact.contentType })
        .send(content);
    },
  );

  app.put(
    "/runs/:run/artifacts/:path",
    {
      onRequest: requireAccess("runs:write"),
      config: { limit: "artifactBytes" },
      schema: {
        tags: ["artifacts"],
        summary: "Write an artifact",
        description:
          "The body becomes its content, the `Content-Type` its type. Writing what is there once more changes nothing. `If-None-Match: *` writes only what is not there, `If-Match` only over the content whose `ETag` it names. 201 when it was written, 200 when it was there already.",
        security: securityFor("runs:write"),
        consumes: [DEFAULT_TYPE],
        params: artifactParams,
        body: bytes,
        response: { 200: artifact, 201: artifact },
      },
    },
    async (request, reply) => {
      const { run, path } = request.params;
      const access = accessOf(request, run);
      const answer = await store.artifacts.write(access, {
        path,
        contentType: typeOf(request),
        content: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        condition: conditionOf(request),
      });
      switch (answer.outcome) {
        case "written":
        case "same":
          return reply
            .code(answer.outcome === "written" ? 201 : 200)
            .header("etag", `"${answer.artifact.sha256}"`)
            .send(artifactBody(answer.artifact));
        case "finished":
          throw new SkeinError("RUN_ALREADY_FINISHED", "The run has finished; what it holds does not change any more.");
        case "conflict":
          throw new SkeinError(
            "ARTIFACT_CONFLICT",
            `The artifact "${path}" is not as the request expects; read it again, and write what fits it.`,
          );
        case "limit":
          throw new SkeinError("ARTIFACT_LIMIT_EXCEEDED", answer.message);
        default:
          throw refused(access, answer.outcome);
      }
    },
  );
}

function securityFor(scope: Scope): { [scheme: string]: string[] }[] {
  return [{ apiKey: [scope] }, { agentToken: [] }];
}

/** Agents say by which lease they come; all others need the scope. */
function requireAccess(scope: Scope) {
  return async (request: FastifyRequest) => {
    if (!request.principal.agent) requireScope(request.principal, scope);
    else if (request.headers[LEASE_HEADER] === undefined) {
      throw new SkeinError(
        "SCOPE_MISSING",
        "An agent reaches the artifacts of a run under a lease on one of its tasks; send it as `Skein-Lease: <task_id> <attempt> <lease_token>`.",
      );
    }
  };
}

function accessOf(request: FastifyRequest, runId: string): ArtifactAccess {
  const { namespace, agent } = request.principal;
  return { namespace, runId, lease: agent && leaseOf(request) };
}

function leaseOf(request: FastifyRequest): LeaseProof {
  const [, taskId, attempt, leaseToken] =
    /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (\d{1,9}) (\S{1,256})$/.exec(
      String(request.headers[LEASE_HEADER]),
    ) ?? [];
  if (taskId === undefined) {
    throw new SkeinError("REQUEST_INVALID", "Skein-Lease must be `<task_id> <attempt> <lease_token>`, as claimed.");
  }
  return { agentId: actingAgent(request).id, taskId, attempt: Number(attempt), leaseToken: leaseToken! };
}

function granted<T extends object>(access: ArtifactAccess, answer: T | ArtifactRefusal): T {
  if (typeof answer === "string") throw refused(access, answer);
  return answer;
}

function refused({ runId }: ArtifactAccess, refusal: ArtifactRefusal): SkeinError {
  return refusal === "no_run"
    ? runNotFound(runId)
    : new SkeinError("LEASE_LOST", `The lease is not held, not any more, or not on a task of run ${runId}.`);
}

function artifactNotFound(path: string): SkeinError {
  return new SkeinError("ARTIFACT_NOT_FOUND", `The run has no artifact "${path}"; GET …/artifacts lists them.`);
}

function typeOf(request: FastifyRequest): string {
  const type = request.headers["content-type"] ?? DEFAULT_TYPE;
  if (isMediaType(type)) return type;
  throw new SkeinError("MEDIA_TYPE_UNSUPPORTED", "The Content-Type is not of the form type/subtype; correct it.");
}

/** RFC 9110: an entity tag in quotes, here the SHA-256 in hex. */
function conditionOf({ headers }: FastifyRequest): ArtifactWrite["condition"] {
  const { "if-none-match": absent, "if-match": match } = headers;
  if (absent === undefined && match === undefined) return undefined;
  const [, sha256] = /^"([0-9a-f]{64})"$/.exec(match ?? "") ?? [];
  if (absent === "*" && match === undefined) return { absent: true };
  if (absent === undefined && sha256 !== undefined) return { sha256 };
  throw new SkeinError(
    "REQUEST_INVALID",
    "Send either `If-None-Match: *`, or `If-Match` with the ETag of the artifact as it was read.",
  );
}
