/** Registered workflows as templates of plans. */
import type { Template } from "../core/planner/planner.ts";
import { workflowIn } from "../core/reference.ts";
import type { Store, StoredWorkflow } from "../store/store.ts";
import { workflowNotFound } from "./routes/workflows.ts";

/** Workflows that are looked through for one with a fitting goal, in the order of their names. */
const MAX_LOOKED_THROUGH = 1_000;
const PAGE = 100;

/** The workflow of that name (`name` or `name@version`), or the newest version of each that declares a goal. */
export async function findTemplates(
  workflows: Store["workflows"],
  namespace: string,
  reference: string | undefined,
): Promise<Template[]> {
  if (reference !== undefined) {
    const { name, version } = workflowIn(reference);
    const found = await workflows.find(namespace, name, version);
    if (!found) throw workflowNotFound(name, version);
    return [templateOf(found)];
  }
  const templates: Template[] = [];
  let cursor: string | undefined;
  for (let seen = 0; seen < MAX_LOOKED_THROUGH; seen += PAGE) {
    const page = await workflows.list(namespace, { limit: PAGE, ...(cursor !== undefined && { cursor }) });
    templates.push(...page.data.filter(({ definition }) => definition.goal !== undefined).map(templateOf));
    if (!page.nextCursor) break;
    cursor = page.nextCursor;
  }
  return templates;
}

function templateOf({ name, version, definition }: StoredWorkflow): Template {
  return { name, version, workflow: definition };
}
