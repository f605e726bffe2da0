/** `npm run schema`: writes docs/workflow.schema.json anew, after a change of core/workflow-schema.ts. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { editorSchemaText } from "../core/editor-schema.ts";

writeFileSync(join(import.meta.dirname, "..", "docs", "workflow.schema.json"), editorSchemaText());
