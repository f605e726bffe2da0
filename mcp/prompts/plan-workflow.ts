import type { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Client } from "../../sdk/client.ts";
import { definitionGuide } from "../tools/workflow-definition.ts";
import { userText } from "./message.ts";

/** Beyond so many, the model asks capability_list for the rest. */
const MAX_CAPABILITIES = 100;

export function planWorkflowPrompt(server: McpServer, client: Client): void {
  server.registerPrompt(
    "plan_workflow",
    {
      title: "Plan a workflow",
      description:
        "Turns what you want into a workflow of the capabilities that agents offer now, checks it, and asks before it runs",
      argsSchema: z.object({
        goal: z.string().min(1).describe("What should come out, in your words"),
        inputs: z.string().optional().describe("What there is to start from, in your words or as JSON"),
      }),
    },
    async ({ goal, inputs }) => {
      const { data } = await client.capabilities();
      const offered = data
        .filter(({ agents }) => agents > 0)
        .map(({ name, description, input_schema }) => {
          const input = input_schema ? `; input: ${JSON.stringify(input_schema)}` : "";
          return `- ${name}${description ? `: ${description}` : ""}${input}`;
        });
      const more = offered.length > MAX_CAPABILITIES ? ["- … and more: capability_list tells them all"] : [];
      return {
        description: "Plan a workflow for a goal",
        messages: [
          userText(
            [
              `Plan a Skein workflow for this goal: ${goal}`,
              ...(inputs ? [`What there is to start from: ${inputs}`] : []),
              "",
              "Capabilities that agents offer now:",
              ...(offered.length === 0 ? ["(none: tell me that an executor has to be started)"] : []),
              ...offered.slice(0, MAX_CAPABILITIES),
              ...more,
              "",
              `How a workflow is written: ${definitionGuide}`,
              "",
              "1. Use only capabilities from the list. If one is missing, say which, and stop.",
              "2. Let tasks that do not need one another run side by side.",
              "3. Check the definition with workflow_validate and correct every flaw it names.",
              "4. Show me the workflow with a reason for each task, and what it takes as inputs.",
              "5. Start it with workflow_submit only when I say so; then follow it with run_watch and show me the result.",
            ].join("\n"),
          ),
        ],
      };
    },
  );
}
