/** Files named on the command line; `-` is stdin. What is wrong with one is told with its name, line and column. */
import { readFile } from "node:fs/promises";
import { SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";
import { defaultLimits } from "../core/limits.ts";
import { parseWorkflow, type Workflow } from "../core/workflow.ts";
import { readYaml } from "../core/yaml-source.ts";
import type { Context } from "./context.ts";
import { FileError, UsageError } from "./problem.ts";

/** The workflow in a file. Throws a FileError with every mistake in it. */
export async function readWorkflow(context: Context, file: string): Promise<Workflow> {
  return (await readWorkflowText(context, file)).workflow;
}

/** The same, and the text that it stands in. */
export async function readWorkflowText(
  context: Context,
  file: string,
): Promise<{ workflow: Workflow; text: string; format: "yaml" | "json" }> {
  const text = await readText(context, file);
  const format = file.endsWith(".json") ? "json" : "yaml";
  return { workflow: inFile(file, () => parseWorkflow(text, { format })), text, format };
}

/** The object in a JSON or YAML file. */
export async function readObject(context: Context, file: string): Promise<JsonObject> {
  const text = await readText(context, file);
  const value = inFile(file, () => {
    const source = readYaml(text, defaultLimits);
    if (source.issues.length > 0) throw refusal("YAML_INVALID", source.issues);
    return source.value;
  });
  if (isJsonObject(value)) return value;
  throw new UsageError(`${nameOf(file)} must hold an object, such as {"topic": "geese"}.`);
}

/** Throws a UsageError when there is no such file. */
export async function readText({ stdin }: Context, file: string): Promise<string> {
  if (file === "-") {
    const chunks: Buffer[] = [];
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString("utf8");
  }
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${readReason(error as NodeJS.ErrnoException)}.`);
  }
}

function readReason(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "there is no such file";
  return error.code === "EISDIR" ? "it is a folder" : error.message;
}

function inFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof SkeinError ? new FileError(nameOf(file), error) : error;
  }
}

function nameOf(file: string): string {
  return file === "-" ? "<stdin>" : file;
}
