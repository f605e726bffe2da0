/** The REST API: everything under `/v1`, its OpenAPI document and reference, health and metrics. */
import type { Socket } from "node:net";
import fastify, { type FastifyBaseLogger, LogController } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { type AuthOptions, authenticate } from "./auth.ts";
import { readBodies } from "./bodies.ts";
import type { ApiContext, App } from "./context.ts";
import { checkHosts } from "./hosts.ts";
import { answerBadUrl, answerBrokenRequest, answerProblems } from "./problems.ts";
import { serveReference } from "./reference.ts";
import { agentDataRoutes } from "./routes/agent-data.ts";
import { agentRoutes } from "./routes/agents.ts";
import { artifactRoutes } from "./routes/artifacts.ts";
import { bidRoutes } from "./routes/bids.ts";
import { budgetRoutes } from "./routes/budgets.ts";
import { bulkRunRoutes } from "./routes/bulk-runs.ts";
import { cacheRoutes } from "./routes/cache.ts";
import { conversationRoutes } from "./routes/conversations.ts";
import { deadLetterRoutes } from "./routes/dead-letters.ts";
import { eventRoutes } from "./routes/events.ts";
import { flowLimitRoutes } from "./routes/flow-limits.ts";
import { graphPatchRoutes } from "./routes/graph-patch.ts";
import { keyRoutes } from "./routes/keys.ts";
import { messageRoutes } from "./routes/messages.ts";
import { pictureRoutes } from "./routes/pictures.ts";
import { planRoutes } from "./routes/plans.ts";
import { registryRoutes } from "./routes/registry.ts";
import { rerunRoutes } from "./routes/reruns.ts";
import { retentionRoutes } from "./routes/retention.ts";
import { runRoutes } from "./routes/runs.ts";
import { savedRunRoutes } from "./routes/saved-runs.ts";
import { scheduleRoutes } from "./routes/schedules.ts";
import { sharedMemoryRoutes } from "./routes/shared-memory.ts";
import { signalRoutes } from "./routes/signals.ts";
import { systemRoutes } from "./routes/system.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { workflowRoutes } from "./routes/workflows.ts";
import { compileShape } from "./validation.ts";

export interface ServerOptions {
  context: ApiContext;
  auth: AuthOptions;
  /** Names beside loopback that this server answers to. */
  allowedHosts: readonly string[];
  logger: FastifyBaseLogger;
  version: string;
  /** Adds what measures requests. */
  instrument?: (app: App) => void;
}

/** An idle connection is kept for longer than load balancers do, so that it is never closed under a request. */
const KEEP_ALIVE_MS = 72_000;
/** Slow clients may not hold a connection open by sending a request byte by byte. */
const REQUEST_TIMEOUT_MS = 60_000;
/** A task's key in a URL, each character of it perhaps encoded as three. */
const MAX_PARAM_LENGTH = 4_096;

export async function buildServer(options: ServerOptions): Promise<App> {
  const { context, auth, allowedHosts, logger, version, instrument } = options;
  const app: App = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: context.limits.bodyBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: "idle",
    // Requests that are already on their way when the server stops are answered like any other.
    return503OnClosing: false,
    frameworkErrors: answerBadUrl,
    clientErrorHandler: answerBrokenRequest,
    // A missing Host is refused by our own check, which answers with a problem.
    http: { requireHostHeader: false },
  }).withTypeProvider<ZodTypeProvider>();
  answerProblems(app, context.limits);
  checkHosts(app, allowedHosts);
  authenticate(app, auth, context.wakeups);
  readBodies(app, context.limits);
  // A connection kept alive beyond the last answer would hold up the stop of the server.
  app.addHook("onSend", async (_request, reply) => {
    if (context.wakeups.isClosed) reply.header("connection", "close");
  });
  app.addHook("preClose", async () => context.streams.close());
  closeSilentSockets(app);
  finishHandlers(app);
  instrument?.(app);
  await serveReference(app, version);
  await app.register(async (scope: App) => {
    scope.setValidatorCompiler(compileShape);
    // Answers are made from typed values; validating them a second time would cost more than making them.
    scope.setSerializerCompiler(() => (data) => JSON.stringify(data));
    await scope.register((routes: App) => systemRoutes(routes, context));
    for (const routes of v1Routes) await scope.register((plugin: App) => routes(plugin, context), { prefix: "/v1" });
  });
  return app;
}

const v1Routes = [
  workflowRoutes,
  runRoutes,
  bulkRunRoutes,
  rerunRoutes,
  budgetRoutes,
  savedRunRoutes,
  signalRoutes,
  graphPatchRoutes,
  planRoutes,
  scheduleRoutes,
  deadLetterRoutes,
  conversationRoutes,
  pictureRoutes,
  eventRoutes,
  artifactRoutes,
  cacheRoutes,
  taskRoutes,
  agentRoutes,
  agentDataRoutes,
  messageRoutes,
  sharedMemoryRoutes,
  registryRoutes,
  bidRoutes,
  keyRoutes,
  retentionRoutes,
  flowLimitRoutes,
];

/**
 * Clients open spare connections, and one that has never sent a request is not idle to Node 20: the server would wait for
 * it until its time-out, for over a minute.
 */
function closeSilentSockets(app: App): void {
  const silent = new Set<Socket>();
  app.server.on("connection", (socket) => {
    silent.add(socket);
    socket.once("close", () => silent.delete(socket));
  });
  app.server.on("request", ({ socket }) => silent.delete(socket));
  app.addHook("preClose", async () => {
    for (const socket of silent) socket.destroy();
  });
}

/** A handler whose client has gone goes on. What it works on is about to be closed, so the server is not closed before it has ended. */
export function finishHandlers(app: Pick<App, "addHook">): void {
  const running = new Set<unknown>();
  app.addHook("onRoute", (route) => {
    const { handler } = route;
    route.handler = function (...call) {
      const result = handler.apply(this, call);
      if (result instanceof Promise) {
        running.add(result);
        const end = () => running.delete(result);
        result.then(end, end);
      }
      return result;
    };
  });
  app.addHook("onClose", async () => {
    while (running.size > 0) await Promise.allSettled(running);
  });
}
