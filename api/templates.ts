/** Registered workflows as templates of plans. */
import { isJsonObject } from "../core/json.ts";
import type { Template } from "../core/planner/planner.ts";
import { workflowIn } from "../core/reference.ts";
import { workflowReference } from "../core/workflow-schema.ts";
import { rawTasks } from "../core/workflow-shape.ts";
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

/** Workflows that a plan may name and that are looked up; tasks with others are refused. */
const MAX_CALLED = 100;

/** The registered workflows that tasks of a plan run, whatever else the plan is. */
export async function calledTemplates(
  workflows: Store["workflows"],
  namespace: string,
  plan: unknown,
): Promise<Template[]> {
  const named = rawTasks(plan).flatMap((task) => {
    const reference = isJsonObject(task) ? task.workflow : undefined;
    return typeof reference === "string" && workflowReference.test(reference) ? [reference] : [];
  });
  const found = await Promise.all(
    [...new Set(named)].slice(0, MAX_CALLED).map((reference) => {
      const { name, version } = workflowIn(reference);
      return workflows.find(namespace, name, version);
    }),
  );
  return found.flatMap((one) => (one ? [templateOf(one)] : []));
}

function templateOf({ name, version, definition }: StoredWorkflow): Template {
  return { name, version, workflow: definition };
}
