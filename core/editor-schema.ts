/** The workflow file for editors, which complete and check by it: docs/workflow.schema.json. */
import { z } from "zod";
import { workflowSchema } from "./workflow-schema.ts";

/** The text of the file. Draft 7 is what editors know; what no schema can say (names, circles, expressions) they leave to us. */
export function editorSchemaText(): string {
  const schema = z.toJSONSchema(workflowSchema, { target: "draft-07" });
  const text = JSON.stringify({ title: "Skein workflow", ...schema }, null, 2);
  // A body of tasks refers to where the OpenAPI document has them.
  return `${text.replaceAll("#/components/schemas/", "#/definitions/")}\n`;
}
