/** `skein runs artifacts`: the files of a run. */
import { isUtf8 } from "node:buffer";
import { writeFile } from "node:fs/promises";
import type { ArtifactContent } from "../sdk/client.ts";
import type { Context } from "./context.ts";
import { printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { UsageError } from "./problem.ts";

interface ArtifactsOptions {
  prefix?: string;
  out?: string;
}

export async function artifacts(
  context: Context,
  id: string,
  path: string | undefined,
  { prefix, out }: ArtifactsOptions,
): Promise<void> {
  if (path === undefined && out !== undefined)
    throw new UsageError("--out takes the content of one file; name its path.");
  if (path !== undefined && prefix !== undefined) throw new UsageError("A path and --prefix exclude each other.");
  const { artifacts: files } = (await context.client()).runs;
  if (path !== undefined) return putContent(context, path, await files.read(id, path), out);
  const found = await firstItems((page) => files.list(id, { ...page, ...(prefix !== undefined && { prefix }) }));
  if (context.json) return printJson(context, found);
  printTable(
    context,
    ["PATH", "TYPE", "BYTES", "WRITTEN"],
    found.map((file) => [file.path, file.content_type, String(file.size), file.updated_at]),
  );
}

async function putContent(
  context: Context,
  path: string,
  { content, contentType, sha256 }: ArtifactContent,
  out: string | undefined,
): Promise<void> {
  if (out !== undefined && out !== "-") {
    await writeFile(out, content);
    context.note(`Written to ${out}.`);
  } else if (context.json) {
    const size = content.length;
    printJson(context, { path, content_type: contentType, size, sha256, base64: content.toString("base64") });
  } else if (context.stdout.isTTY) {
    if (!isUtf8(content)) throw new UsageError(`"${visible(path)}" is no text; write it to a file with --out.`);
    context.stdout.write(`${content.toString().replace(/\n$/, "").split("\n").map(visible).join("\n")}\n`);
  } else context.stdout.write(content);
}
