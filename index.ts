/** The public exports of the package, named one by one. */
import type { Embedded, EmbeddedOptions } from "./embedded.ts";
import type { InboxNotices } from "./sdk/noticed-inbox.ts";

export { type ExecutorOptions, type RunningExecutor, startExecutor } from "./agents/executor_agents/executor.ts";
export { type Config, loadConfig } from "./config.ts";
export { type ErrorCode, type Failure, type Issue, SkeinError } from "./core/errors.ts";
export type { Fact, RunEvent } from "./core/event.ts";
export type { Json, JsonObject } from "./core/json.ts";
export type { RunStatus, TaskStatus } from "./core/run.ts";
export {
  parseWorkflow,
  type RetryDefinition,
  type TaskDefinition,
  validateWorkflow,
  type Workflow,
} from "./core/workflow.ts";
export type { Embedded, EmbeddedOptions } from "./embedded.ts";
export {
  type Client,
  type ClientOptions,
  createClient,
  type GraphFormat,
  type PageOf,
  type SubmitOptions,
  type TimelineFormat,
} from "./sdk/client.ts";
export {
  defineExecutor,
  type EmitOptions,
  type EmittedItem,
  type Executor,
  type ExecutorContext,
  type ExecutorDefinition,
  NonRetryableError,
  RetryAfterError,
  type SpawnedTask,
  TaskError,
  type TaskLogger,
  type Usage,
} from "./sdk/executor.ts";
export type { InboxNotices } from "./sdk/noticed-inbox.ts";
export {
  type ParticipateOptions,
  participate,
  type Speak,
  type Speech,
  type TakePartOptions,
  type Turn,
  takePart,
} from "./sdk/participant.ts";
export { type TaskHandle, type WorkflowBuilder, workflow } from "./sdk/workflow.ts";
export { version } from "./version.ts";

/**
 * Starts everything in this process and resolves once it serves: database, transport, API and an executor. Loaded only
 * when it is called, so that a program that only needs the client does not wait for a server.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const embedded = await import("./embedded.ts");
  return embedded.startEmbedded(options);
}

/**
 * What RabbitMQ tells of the inbox of an agent of this name, for `participate`: less work for a server with many members. The
 * messages themselves come from the server, in order and each once, whatever the broker loses. `close` it in the end.
 */
export async function connectInbox(
  amqpUrl: string,
  name: string,
): Promise<{ notices: InboxNotices; close(): Promise<void> }> {
  const [{ connectRabbitMq }, { inboxNotices }] = await Promise.all([
    import("./transport/rabbitmq.ts"),
    import("./agents/inbox-notices.ts"),
  ]);
  const quiet = () => {};
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const transport = await connectRabbitMq(amqpUrl, { name, publishes: false, log });
  return { notices: inboxNotices(transport, name), close: () => transport.close() };
}
