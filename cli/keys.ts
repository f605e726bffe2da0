/** `skein keys …`: the API keys of a namespace. */
import type { Scope } from "../core/protocol/keys.ts";
import type { Context } from "./context.ts";
import { printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";

export interface CreateKeyOptions {
  scope: Scope[];
  namespace?: string;
  expiresAt?: string;
  capability?: string[];
}

/** Prints the key alone on stdout: it is shown this once. */
export async function createKey(context: Context, name: string, options: CreateKeyOptions): Promise<void> {
  const client = await context.client();
  const created = await client.keys.create({
    name,
    scopes: options.scope,
    ...(options.namespace !== undefined && { namespace: options.namespace }),
    ...(options.expiresAt !== undefined && { expires_at: options.expiresAt }),
    ...(options.capability && { capabilities: options.capability }),
  });
  if (context.json) return printJson(context, created);
  context.stdout.write(`${created.key}\n`);
  context.note(visible(`Key "${created.name}" of namespace ${created.namespace}; it will not be shown again.`));
}

export async function listKeys(context: Context, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const keys = await firstItems((page) => client.keys.list(page), limit);
  if (context.json) return printJson(context, keys);
  printTable(
    context,
    ["KEY", "NAME", "BEGINS WITH", "SCOPES", "MAY USE", "EXPIRES"],
    keys.map((key) => [
      key.id,
      key.name,
      key.prefix,
      key.scopes.join(", "),
      key.capabilities?.join(", ") ?? "everything",
      key.expires_at ?? "never",
    ]),
  );
}

export async function revokeKey(context: Context, id: string): Promise<void> {
  const client = await context.client();
  await client.keys.revoke(id);
  if (context.json) return printJson(context, { id, revoked: true });
  context.stdout.write(`Key ${id} is revoked.\n`);
}
