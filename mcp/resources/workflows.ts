import { name } from "../../core/protocol/common.ts";
import type { ResourceFamily } from "./family.ts";

/** Workflows looked at to complete a name. */
const MOST_COMPLETED = 100;

export const workflowResources: ResourceFamily = {
  base: "skein://workflows/",
  variable: "name",
  isId: (text) => name.safeParse(text).success,
  missing: "WORKFLOW_NOT_FOUND",
  async complete(client, prefix) {
    const { data } = await client.workflows.list({ limit: MOST_COMPLETED });
    return data.map((workflow) => workflow.name).filter((one) => one.startsWith(prefix));
  },
  parts: [
    {
      path: "",
      name: "workflow",
      title: "Registered workflow",
      description: "The newest version of a registered workflow, whole",
      mimeType: "application/json",
      read: async (client, id) => JSON.stringify((await client.workflows.get(id)).definition, null, 2),
    },
  ],
};
