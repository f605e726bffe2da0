/** What a client can attach to a conversation with its model, or read without a tool: runs, conversations, workflows. */
import {
  type ListResourcesResult,
  type McpServer,
  type Resource,
  ResourceNotFoundError,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { SkeinError } from "../core/errors.ts";
import type { Client } from "../sdk/client.ts";
import { protocolError } from "./protocol-error.ts";
import { conversationResources } from "./resources/conversations.ts";
import type { ResourceFamily } from "./resources/family.ts";
import { resourcesOfRun, runResources } from "./resources/runs.ts";
import { workflowResources } from "./resources/workflows.ts";

const families: readonly ResourceFamily[] = [runResources, conversationResources, workflowResources];

const RUNS_PER_PAGE = 20;

/** `listed` are the resources that somebody else has registered. */
export function offerResources(server: McpServer, client: Client, listed: readonly Resource[]): void {
  for (const family of families) {
    const { base, variable, complete } = family;
    for (const { path, name, title, description, mimeType, read } of family.parts) {
      server.registerResource(
        name,
        // Listing is done below: the SDK knows no pages.
        new ResourceTemplate(`${base}{${variable}}${path}`, {
          list: undefined,
          complete: { [variable]: (value) => complete(client, value) },
        }),
        { title, description, mimeType },
        async (uri, variables) => {
          const text = await readable(family, uri.href, String(variables[variable]), (id) => read(client, id));
          return { contents: [{ uri: uri.href, mimeType, text }] };
        },
      );
    }
  }
  server.server.setRequestHandler("resources/list", async ({ params }): Promise<ListResourcesResult> => {
    const cursor = params?.cursor;
    const page = await client.runs
      .list({ limit: RUNS_PER_PAGE, ...(cursor !== undefined && { cursor }) })
      .catch((error) => {
        throw protocolError(error);
      });
    return {
      resources: [...(cursor === undefined ? listed : []), ...page.data.flatMap(resourcesOfRun)],
      ...(page.next_cursor !== null && { nextCursor: page.next_cursor }),
    };
  });
}

async function readable(
  { isId, missing }: ResourceFamily,
  uri: string,
  id: string,
  read: (id: string) => Promise<string>,
): Promise<string> {
  if (!isId(id)) throw new ResourceNotFoundError(uri);
  try {
    return await read(id);
  } catch (error) {
    if (error instanceof SkeinError && error.code === missing) throw new ResourceNotFoundError(uri);
    throw protocolError(error);
  }
}
