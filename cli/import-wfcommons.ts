/** `skein import wfcommons`: a recorded execution of a scientific workflow as a workflow of sleeping tasks. */
import { writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { stringify } from "yaml";
import type { Context } from "./context.ts";
import { counted, toJson } from "./output.ts";
import { UsageError } from "./problem.ts";
import { readText } from "./read-file.ts";
import { importInstance } from "./wfcommons.ts";

export interface ImportOptions {
  timeScale: number;
  output?: string;
}

/** YAML, or JSON with `--json` or into a file called so. What had to be changed is noted on stderr. */
export async function importWfcommons(context: Context, file: string, options: ImportOptions): Promise<void> {
  const { workflow, renamed } = importInstance(parse(await readText(context, file), file), options.timeScale);
  const isJson = options.output === undefined ? context.json : extname(options.output) === ".json";
  const text = isJson ? `${toJson(workflow)}\n` : stringify(workflow);
  if (options.output === undefined || options.output === "-") context.stdout.write(text);
  else await writeFile(options.output, text);
  if (renamed.size > 0) {
    const [from, to] = [...renamed][0]!;
    const count = counted(renamed.size, "id");
    context.note(`${count} had to be changed, such as ${JSON.stringify(from)} to ${to}; the descriptions tell them.`);
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${(error as Error).message}`);
  }
}
