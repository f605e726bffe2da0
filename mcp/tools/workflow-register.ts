import { z } from "zod";
import { jsonObject } from "../../core/protocol/common.ts";
import { saveRunBody, workflowRecord } from "../../core/protocol/workflows.ts";
import { runId } from "../run-summary.ts";
import { defineTool, settling } from "../tool.ts";
import { definitionGuide } from "./workflow-definition.ts";

const registered = workflowRecord.pick({ name: true, version: true, created_at: true });

function registeredText({ name, version }: z.infer<typeof registered>): string {
  return `Registered as ${name}@${version}. workflow_submit starts it by \`workflow: "${name}"\`.`;
}

export const workflowRegister = defineTool({
  name: "workflow_register",
  title: "Register a workflow",
  description:
    "Keeps a workflow definition under its name, so that it can be started by name, on a schedule, or as a task of other workflows. Check it with workflow_validate first. Another content is a new version; the same content again answers with the version there is.",
  annotations: settling,
  input: z.strictObject({ definition: jsonObject.describe(definitionGuide) }),
  output: registered,
  call: (client, { definition }) => client.workflows.register(definition),
  text: registeredText,
});

const { name, description, goal } = saveRunBody.shape;

export const workflowRegisterRun = defineTool({
  name: "workflow_register_run",
  title: "Register what a run did",
  description:
    "Keeps what a run is a run of, with everything that was added or changed while it ran, as a registered workflow of the given name. Use it when a planned or patched run went well and is to be run again.",
  annotations: settling,
  input: z.strictObject({
    run_id: runId,
    name: name.describe("What the workflow is to be called, such as `weekly-report`"),
    description: description.describe("What it is for; default: what the run's definition says"),
    goal,
  }),
  output: registered,
  call: (client, { run_id, ...body }) => client.workflows.saveFromRun(run_id, body),
  text: registeredText,
});
