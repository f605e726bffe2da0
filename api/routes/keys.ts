import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { refusal } from "../../core/issues.ts";
import { pageOf, pageQuery, uuid } from "../../core/protocol/common.ts";
import { createdKey, createKeyBody, key } from "../../core/protocol/keys.ts";
import { newApiKey } from "../auth.ts";
import type { ApiContext, App } from "../context.ts";
import { keyBody, pageBody } from "../wire.ts";

export async function keyRoutes(app: App, { store }: ApiContext): Promise<void> {
  app.post(
    "/keys",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["keys"],
        summary: "Create an API key",
        description:
          "The key is answered once and stored only as a hash. Keys of other namespaces: from `default` alone.",
        body: createKeyBody,
        response: { 201: createdKey },
      },
    },
    async (request, reply) => {
      const own = request.principal.namespace;
      const { name, namespace = own, scopes, expires_at, capabilities = null } = request.body;
      if (capabilities && scopes.includes("admin")) {
        const message = "A key with the scope admin makes keys that may use everything; leave out one of the two.";
        throw refusal("REQUEST_INVALID", [{ code: "REQUEST_INVALID", message, pointer: "/capabilities" }]);
      }
      if (namespace !== own && own !== "default") {
        throw new SkeinError(
          "SCOPE_MISSING",
          `A key of ${own} cannot create keys of ${namespace}; one of default can.`,
        );
      }
      const { key, hash, prefix } = newApiKey();
      const expiresAt = expires_at === undefined ? null : new Date(expires_at);
      const created = await store.keys.create({ namespace, name, prefix, scopes, capabilities, expiresAt }, hash);
      return reply.code(201).send({ ...keyBody(created), key });
    },
  );

  app.get(
    "/keys",
    {
      config: { scope: "admin" },
      schema: { tags: ["keys"], summary: "List API keys", querystring: pageQuery, response: { 200: pageOf(key) } },
    },
    async (request) => pageBody(await store.keys.list(request.principal.namespace, request.query), keyBody),
  );

  app.delete(
    "/keys/:key",
    {
      config: { scope: "admin" },
      schema: {
        tags: ["keys"],
        summary: "Revoke an API key",
        description: "Takes effect within two seconds on every replica.",
        params: z.object({ key: uuid }),
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      if (!(await store.keys.revoke(request.principal.namespace, request.params.key))) {
        throw new SkeinError("KEY_NOT_FOUND", `There is no key ${request.params.key} in this namespace.`);
      }
      return reply.code(204).send(null);
    },
  );
}
