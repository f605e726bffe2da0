/** Registered workflows, and the definitions that runs are pinned to. */
import type { Workflow } from "../../core/workflow.ts";
import type { Page, PageOf } from "./pages.ts";

export interface StoredWorkflow {
  name: string;
  version: number;
  hash: string;
  definition: Workflow;
  createdAt: Date;
}

export interface WorkflowStore {
  /**
   * The same content gives the version it already has; other content the next version, or the one it names.
   * Throws WORKFLOW_VERSION_CONFLICT when the named version exists with other content.
   */
  register(namespace: string, workflow: Workflow): Promise<{ stored: StoredWorkflow; created: boolean }>;
  /** The newest version unless one is named. */
  find(namespace: string, name: string, version?: number): Promise<StoredWorkflow | undefined>;
  /** The newest version of each name. */
  list(namespace: string, page: Page): Promise<PageOf<StoredWorkflow>>;
  /** The definition a run was pinned to. */
  definitionOf(namespace: string, runId: string): Promise<Workflow | undefined>;
}
