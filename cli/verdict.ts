/** What `skein workflow validate` found, for people: whether the file is sound, what a run of it comes to, and what is odd. */
import type { Validation, WorkflowBounds } from "../core/protocol/workflows.ts";
import type { Context } from "./context.ts";
import { counted, formatMs, visible } from "./output.ts";

/** Of what is only good to know; `--json` has all. */
const MAX_INFOS = 10;
const MAX_PATH = 8;
const MAX_KEYS = 3;

export function printVerdict(context: Context, file: string, name: string, verdict: Validation): void {
  const { stdout, paint } = context;
  const { valid, tasks = 0, findings = [], bounds } = verdict;
  const mark = valid ? paint.green("✔") : paint.red("✖");
  stdout.write(`${mark} ${visible(file)}: ${visible(name)}, ${counted(tasks, "task")}\n`);
  if (bounds) for (const line of boundLines(bounds)) stdout.write(`  ${paint.dim(visible(line))}\n`);
  const infos = findings.filter(({ severity }) => severity === "info");
  for (const finding of [...findings.filter((one) => one.severity !== "info"), ...infos.slice(0, MAX_INFOS)]) {
    const { severity, line, column, pointer, message, code } = finding;
    const colour = { error: paint.red, warning: paint.yellow, info: paint.dim }[severity];
    const place = line === undefined ? `${file}#${pointer}` : `${file}:${line}:${column}`;
    stdout.write(`  ${visible(place)} ${colour(severity)} ${visible(`${message} [${code}]`)}\n`);
  }
  if (infos.length > MAX_INFOS) stdout.write(`  … and ${infos.length - MAX_INFOS} more to know; --json has all.\n`);
}

function boundLines({ tasks, attempts, cost, duration_ms, open, unknown }: WorkflowBounds): string[] {
  const { least, expected, most, path, keys } = duration_ms;
  const costs = cost.most === 0 ? "" : `, cost ${rangeText(cost)}`;
  const shown = path.length > MAX_PATH ? [...path.slice(0, MAX_PATH), "…"] : path;
  const time = [
    ...(least > 0 ? [`at least ${formatMs(least)}`] : []),
    ...(expected > least ? [`about ${formatMs(expected)}`] : []),
    most === null ? "perhaps for ever" : `at most ${formatMs(most)}`,
  ];
  return [
    `A run has ${rangeText(tasks)} tasks, ${rangeText(attempts)} attempts${costs}.`,
    `It takes ${time.join(", ")}, besides waiting for agents; the longest chain is ${shown.join(" → ")}.`,
    ...keys
      .slice(0, MAX_KEYS)
      .map((limit) => `The limit of ${limit.key} keeps it going for at least ${formatMs(limit.expected)}.`),
    ...open.map(({ message }) => `No bound: ${message}`),
    ...(unknown.length > 0 ? [`Nobody says how long these take: ${unknown.join(", ")}.`] : []),
  ];
}

function rangeText({ least, most }: { least: number; most: number | null }): string {
  const count = (value: number) => value.toLocaleString("en-US");
  if (most === null) return `${count(least)} or more`;
  return least === most ? count(least) : `${count(least)} to ${count(most)}`;
}
