import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { type Issue, SkeinError } from "../../core/errors.ts";
import { refusal } from "../../core/issues.ts";
import { name, pageOf, pageQuery } from "../../core/protocol/common.ts";
import { validation, workflowQuery, workflowRecord } from "../../core/protocol/workflows.ts";
import { type Workflow, workflowSchema } from "../../core/workflow.ts";
import { readWorkflowFiles } from "../bodies.ts";
import type { ApiContext, App } from "../context.ts";
import type { WorkflowFile } from "../definitions/definitions.ts";
import { worldOf } from "../proof.ts";
import { pageBody, workflowBody } from "../wire.ts";

export async function workflowRoutes(app: App, { store, definitions }: ApiContext): Promise<void> {
  readWorkflowFiles(app);

  /** The schema of the body is for the reference: what is wrong with a file is told with line and column. */
  const workflowFile = {
    consumes: ["application/yaml", "application/json"],
    body: workflowSchema as z.ZodType,
  };
  const validatorCompiler = () => () => true;

  const parse = async (file: WorkflowFile): Promise<Workflow> => checkVersion(await definitions.read(file));

  app.post(
    "/workflows",
    {
      config: { scope: "runs:write", limit: "definitionBytes" },
      validatorCompiler,
      schema: {
        tags: ["workflows"],
        summary: "Register a workflow",
        description: "The same content gives the version it already has (200); other content gives a new one (201).",
        ...workflowFile,
        response: { 200: workflowRecord, 201: workflowRecord },
      },
    },
    async (request, reply) => {
      const { stored, created } = await store.workflows.register(
        request.principal.namespace,
        await parse(fileIn(request)),
      );
      return reply.code(created ? 201 : 200).send(workflowBody(stored));
    },
  );

  app.post(
    "/workflows/validate",
    {
      config: { scope: "runs:read", limit: "definitionBytes" },
      validatorCompiler,
      schema: {
        tags: ["workflows"],
        summary: "Check a workflow without storing it",
        description:
          "Answers 200 for a flawed workflow too, with everything that is wrong, by line and column. Of a sound one it tells what can never work or is hardly meant, which tasks no agent that is there can run, and how large, dear and long a run can become.",
        ...workflowFile,
        response: { 200: validation },
      },
    },
    async (request) => {
      const file = fileIn(request);
      const { namespace, capabilities: allowed } = request.principal;
      try {
        const workflow = await parse(file);
        const world = await worldOf(store, namespace, workflow);
        return await definitions.prove(file, { world, allowed });
      } catch (error) {
        return { valid: false, errors: issuesOf(error) };
      }
    },
  );

  app.get(
    "/workflows",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["workflows"],
        summary: "List workflows, the newest version of each",
        querystring: pageQuery,
        response: { 200: pageOf(workflowRecord) },
      },
    },
    async (request) => pageBody(await store.workflows.list(request.principal.namespace, request.query), workflowBody),
  );

  app.get(
    "/workflows/:name",
    {
      config: { scope: "runs:read" },
      schema: {
        tags: ["workflows"],
        summary: "Read a workflow",
        params: z.object({ name }),
        querystring: workflowQuery,
        response: { 200: workflowRecord },
      },
    },
    async (request) => {
      const { name } = request.params;
      const { version } = request.query;
      const stored = await store.workflows.find(request.principal.namespace, name, version);
      if (!stored) throw workflowNotFound(name, version);
      return workflowBody(stored);
    },
  );
}

function fileIn({ bodyText, headers }: FastifyRequest): WorkflowFile {
  if (bodyText === undefined) {
    throw new SkeinError(
      "REQUEST_INVALID",
      "The body is empty; send a workflow as application/yaml or application/json.",
    );
  }
  const isJson = headers["content-type"]?.trim().toLowerCase().startsWith("application/json");
  return { text: bodyText, format: isJson ? "json" : "yaml" };
}

/** As many digits as `name@version` takes. Beyond them the next version would soon be none. */
const MAX_VERSION = 999_999_999;

function checkVersion(workflow: Workflow): Workflow {
  if ((workflow.version ?? 1) <= MAX_VERSION) return workflow;
  const message = `The version is ${workflow.version}, but must be at most ${MAX_VERSION}.`;
  throw refusal("WORKFLOW_INVALID", [{ code: "WORKFLOW_INVALID", message, pointer: "/version" }]);
}

/** What a flawed workflow has; anything else that went wrong is thrown on. */
function issuesOf(error: unknown): Issue[] {
  if (!(error instanceof SkeinError)) throw error;
  return error.issues.length > 0 ? [...error.issues] : [{ code: error.code, message: error.message, pointer: "" }];
}

export function workflowNotFound(name: string, version: number | undefined): SkeinError {
  const which = version === undefined ? name : `${name}@${version}`;
  return new SkeinError("WORKFLOW_NOT_FOUND", `There is no workflow ${which}; register it with POST /v1/workflows.`);
}
