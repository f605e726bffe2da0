/** What an experiment came to, as a page in Markdown. */
import { formatCount } from "../limits.ts";
import type { Cell, Experiment } from "./experiment.ts";
import type { Estimate } from "./statistics.ts";
import { type CellSummary, type Measure, measureNames, measures } from "./summary.ts";

export interface ReportView {
  experiment: Experiment;
  summaries: readonly CellSummary[];
  /** The command line that it was made by. */
  command: string;
  version: string;
  /** SHA-256 of the file. */
  fileHash: string;
  /** How time passed, as a sentence. */
  clock: string;
}

/** Where the plot of a measure is, seen from the report. */
export function plotPath(measure: string): string {
  return `plots/${measure}.svg`;
}

/** Where the run of a cell is drawn, without the extension. */
export function runPath({ number, protocol, teamSize, faultsName }: Cell): string {
  return `runs/c${String(number).padStart(3, "0")}-${protocol}-${teamSize}-${faultsName}`;
}

export function reportOf(view: ReportView): string {
  const { experiment, summaries, command, version, fileHash, clock } = view;
  const { name, description, notes, question, options, truth, seeds, repetitions } = experiment;
  const conversations = formatCount(summaries.reduce((sum, { count }) => sum + count, 0));
  const answers = options.map((option) => `"${plain(option)}"${option === truth ? " (the truth)" : ""}`).join(", ");
  return `${[
    `# ${name}`,
    ...(description ? [description.trim()] : []),
    ...(notes ? ["## What is to be seen", notes.trim()] : []),
    "## How it was made",
    `\`\`\`bash\n${command}\n\`\`\``,
    `Skein ${version}; ${seeds.length === 1 ? "seed" : "seeds"} ${seeds.join(", ")}; ${conversations} conversations, ${formatCount(seeds.length * repetitions)} in each of ${formatCount(summaries.length)} cells. ${clock}`,
    `The question: "${plain(question)}" Answers: ${answers}. The file is [experiment.yaml](experiment.yaml), SHA-256 \`${fileHash}\`.`,
    "## Results",
    table(summaries),
    `Means with 95 % confidence intervals: Student's t (1908), for success Wilson's score interval (1927). Where all samples are equal the interval has no width. ${measureNames.map((one) => `_${measures[one].title}_: ${measures[one].meaning}.`).join(" ")}`,
    ...measureNames.map((measure) => `![${measures[measure].title}](${plotPath(measure)})`),
    "## Files",
    files,
    "## One run of each cell",
    summaries
      .map(({ cell }) => `- ${titleOf(cell)}: [SVG](${runPath(cell)}.svg), [Mermaid](${runPath(cell)}.mmd)`)
      .join("\n"),
  ].join("\n\n")}\n`;
}

const files = [
  "- [trials.jsonl](trials.jsonl), [trials.csv](trials.csv): a row for each conversation",
  "- [cells.csv](cells.csv): means and intervals",
  "- [events.ocel.json](events.ocel.json) (OCEL 2.0), [events.xes](events.xes) (XES): one run of each cell, for process mining",
].join("\n");

function titleOf({ number, protocol, policy, teamSize, faultsName }: Cell): string {
  return `${number}. ${protocol}, ${plain(policy)}, ${teamSize} members, ${faultsName}`;
}

function table(summaries: readonly CellSummary[]): string {
  const header = ["", "protocol", "policy", "team", "faults", "n", ...measureNames.map((name) => measures[name].title)];
  const rows = summaries.map(({ cell, count, estimates }) => {
    const { number, protocol, policy, teamSize, faultsName } = cell;
    const values = measureNames.map((name) => estimateText(estimates[name], measures[name]));
    return [String(number), protocol, plain(policy), String(teamSize), faultsName, String(count), ...values];
  });
  const aligned = header.map((_, column) => (column > 0 && column < 5 && column !== 3 ? "---" : "--:"));
  return [header, aligned, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** `12.3 ± 0.4`; an interval that does not lie around its mean is written out. */
export function estimateText(estimate: Estimate | null, { digits, title }: Pick<Measure, "digits" | "title">): string {
  if (!estimate) return "–";
  const { mean, low, high } = estimate;
  const told = mean.toFixed(digits);
  if (low === null || high === null) return told;
  if (title === "Success") return `${told} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
  return `${told} ± ${((high - low) / 2).toFixed(digits)}`;
}

/** A text that cannot leave its place in Markdown. */
function plain(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\\`*_[\]<>|#&]/g, (character) => `&#${character.codePointAt(0)};`);
}
