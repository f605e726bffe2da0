/**
 * Experiments on teams of agents: a team, and a matrix of protocols, policies, team sizes and faults, each cell of which is
 * played several times. A file is read and refused here, before anything runs; trial.ts plays, summary.ts counts.
 */
import { flawsOf } from "../conversation/flaws.ts";
import type { ConversationParameters } from "../conversation/parameters.ts";
import type { ProtocolName } from "../conversation/state.ts";
import { conversationSchemas, readConversation } from "../conversation.ts";
import { type Issue, SkeinError } from "../errors.ts";
import { byPosition, inDocumentOrder, refusal } from "../issues.ts";
import { isJsonObject, type JsonObject, pointerTo } from "../json.ts";
import { defaultLimits, formatCount } from "../limits.ts";
import { didYouMean } from "../near-miss.ts";
import { readYaml } from "../yaml-source.ts";
import { type Behaviour, behaviourOf } from "./behaviour.ts";
import { type ExperimentFile, experimentSchema, type Faults, faultsSchema } from "./schema.ts";

const MAX_FILE_BYTES = 256 * 1_024;
const MAX_CELLS = 500;
const MAX_TRIALS = 20_000;
/** Where all hear all, time grows with the square of the team: this is about ten minutes (100 members took 3 s on 2 cores). */
const MAX_PAIRS = 2_000_000;

export interface TeamMember {
  name: string;
  role: string | null;
  weight: number;
  behaviour: Behaviour;
}

/** One combination of the matrix. */
export interface Cell {
  /** From 1, in the order of the file. */
  number: number;
  protocol: ProtocolName;
  policy: string;
  teamSize: number;
  faultsName: string;
  faults: Faults;
  team: TeamMember[];
  parameters: ConversationParameters;
}

export interface Experiment {
  name: string;
  description: string;
  notes: string;
  question: string;
  options: string[];
  truth: string;
  cells: Cell[];
  seeds: number[];
  repetitions: number;
}

/** The experiment in a YAML or JSON text. Throws EXPERIMENT_INVALID or EXPERIMENT_TOO_LARGE with every flaw and its place. */
export function parseExperiment(text: string): Experiment {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    const message = `The file has more than ${formatCount(MAX_FILE_BYTES)} bytes; an experiment is shorter than that.`;
    throw new SkeinError("EXPERIMENT_TOO_LARGE", message);
  }
  const source = readYaml(text, defaultLimits);
  if (source.issues.length > 0) throw refusal("EXPERIMENT_INVALID", source.issues);
  const { experiment, issues } = examine(source.value);
  if (experiment) return experiment;
  throw refusal("EXPERIMENT_INVALID", source.place(issues).toSorted(byPosition));
}

/** With other seeds, or another number of repetitions, than the file has; the bounds hold for them, too. */
export function withSeeds(
  experiment: Experiment,
  { seed: seeds = experiment.seeds, repetitions = experiment.repetitions }: { seed?: number[]; repetitions?: number },
): Experiment {
  const sizes = experiment.cells.map(({ teamSize }) => teamSize);
  const issues = boundIssues(sizes, new Set(seeds).size * repetitions);
  if (issues.length > 0) throw refusal("EXPERIMENT_TOO_LARGE", issues);
  return { ...experiment, seeds: [...new Set(seeds)], repetitions };
}

type Examined = { experiment: Experiment; issues?: never } | { experiment?: never; issues: Issue[] };

const knownKeys = [
  ...Object.keys(experimentSchema.shape),
  ...Object.keys(experimentSchema.shape.matrix.shape),
  ...Object.keys(faultsSchema.shape),
];

function examine(value: unknown): Examined {
  if (!isJsonObject(value)) return { issues: [invalid("The experiment must be an object.", "")] };
  const read = experimentSchema.safeParse(value);
  if (!read.success) {
    return { issues: inDocumentOrder(flawsOf(read.error, "EXPERIMENT_INVALID", "The experiment", knownKeys), value) };
  }
  const file = read.data;
  const issues = [...sizeIssues(file), ...nameIssues(file)];
  if (issues.length > 0) return { issues: inDocumentOrder(issues, value) };
  const { cells, flaws } = cellsOf(file);
  if (flaws.length > 0) return { issues: inDocumentOrder(flaws, value) };
  const { name, description = "", notes = "", question, options, matrix } = file;
  const { repetitions, seed } = matrix;
  return {
    experiment: {
      name,
      description,
      notes,
      question,
      options,
      truth: truthOf(file),
      cells,
      seeds: listOf(seed),
      repetitions,
    },
  };
}

function invalid(message: string, pointer: string): Issue {
  return { code: "EXPERIMENT_INVALID", message, pointer };
}

function listOf<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}

function truthOf({ truth, options }: ExperimentFile): string {
  return truth ?? options[0]!;
}

function sizesOf({ matrix, team }: ExperimentFile): number[] {
  return matrix.team_size === undefined ? [team.members.length] : listOf(matrix.team_size);
}

/** Without an entry a protocol is played with what its parameters are by default. */
function policiesOf({ matrix }: ExperimentFile, protocol: ProtocolName): JsonObject[] {
  const policy = matrix.policy[protocol];
  return policy === undefined ? [{}] : listOf(policy);
}

/** Counted, not unfolded: a small file can ask for more cells than there is memory for. */
function sizeIssues(file: ExperimentFile): Issue[] {
  const { matrix } = file;
  const kinds = listOf(matrix.protocol).reduce((sum, protocol) => sum + policiesOf(file, protocol).length, 0);
  const times = kinds * listOf(matrix.faults).length;
  const sizes = sizesOf(file);
  if (times * sizes.length > MAX_CELLS) return [bound(times * sizes.length, MAX_CELLS, "cells", "try fewer values")];
  const all = Array.from({ length: times }, () => sizes).flat();
  return boundIssues(all, listOf(matrix.seed).length * matrix.repetitions);
}

/** `sizes`: of the team in each cell. */
function boundIssues(sizes: readonly number[], repetitions: number): Issue[] {
  const trials = sizes.length * repetitions;
  if (trials > MAX_TRIALS) {
    return [bound(trials, MAX_TRIALS, "conversations", "take fewer repetitions, seeds or cells")];
  }
  const pairs = sizes.reduce((sum, size) => sum + size ** 2, 0) * repetitions;
  if (pairs <= MAX_PAIRS) return [];
  return [bound(pairs, MAX_PAIRS, "pairs of members that talk", "take smaller teams, or fewer repetitions")];
}

function bound(count: number, most: number, what: string, remedy: string): Issue {
  const message = `/matrix comes to ${formatCount(count)} ${what}, and at most ${formatCount(most)} are played; ${remedy}.`;
  return { code: "EXPERIMENT_TOO_LARGE", message, pointer: "/matrix" };
}

/** Names that nothing is called by, and values that stand twice. */
function nameIssues(file: ExperimentFile): Issue[] {
  const { options, team, faults, matrix, truth } = file;
  const optionIssue = (value: string | undefined, pointer: string) =>
    value === undefined || options.includes(value)
      ? []
      : [
          invalid(
            `${pointer} is not one of the options.${didYouMean(value, options) || " Add it to /options."}`,
            pointer,
          ),
        ];
  const profiles = [...Object.keys(faults), "none"];
  const issues = optionIssue(truth, "/truth");
  for (const [index, { behaviour }] of team.members.entries()) {
    if (typeof behaviour === "string") continue;
    const pointer = `/team/members/${index}/behaviour`;
    issues.push(...optionIssue(behaviour.position, `${pointer}/position`));
    for (const [rank, preferred] of (behaviour.preference ?? []).entries()) {
      issues.push(...optionIssue(preferred, `${pointer}/preference/${rank}`));
    }
  }
  for (const [index, profile] of listOf(matrix.faults).entries()) {
    if (profiles.includes(profile)) continue;
    const pointer = Array.isArray(matrix.faults) ? `/matrix/faults/${index}` : "/matrix/faults";
    const remedy = didYouMean(profile, profiles) || " Describe it in /faults.";
    issues.push(invalid(`${pointer} is not one of the fault profiles.${remedy}`, pointer));
  }
  for (const key of ["protocol", "team_size", "faults", "seed"] as const) {
    for (const [index, value] of listOf<unknown>(matrix[key]).entries()) {
      if (listOf<unknown>(matrix[key]).indexOf(value) === index) continue;
      issues.push(
        invalid(`/matrix/${key}/${index} stands there twice; try each value once.`, `/matrix/${key}/${index}`),
      );
    }
  }
  return [...issues, ...failingIssues(file)];
}

function failingIssues({ faults, team }: ExperimentFile): Issue[] {
  const names = team.members.map(({ name }) => name);
  return Object.entries(faults).flatMap(([profile, { members }]) =>
    members.flatMap(({ member }, index) => {
      if (member === undefined || names.includes(member)) return [];
      const pointer = pointerTo(pointerTo(`${pointerTo("/faults", profile)}/members`, index), "member");
      const remedy = didYouMean(member, names) || ` It may be ${names.join(", ")}.`;
      return [invalid(`${pointer} is not in the team.${remedy}`, pointer)];
    }),
  );
}

/** All cells, in the order of the file, and what the protocols say is wrong with them. */
function cellsOf(file: ExperimentFile): { cells: Cell[]; flaws: Issue[] } {
  const { matrix } = file;
  const cells: Cell[] = [];
  const flaws = new Map<string, Issue>();
  for (const protocol of listOf(matrix.protocol)) {
    for (const [index, policy] of policiesOf(file, protocol).entries()) {
      for (const teamSize of sizesOf(file)) {
        const team = teamOf(file, teamSize);
        const given = parametersOf(file, protocol, policy, team);
        const at = (pointer: string) => placeOf(pointer, { file, protocol, policy, index });
        const read = readParameters(given, at);
        for (const flaw of read.flaws) flaws.set(`${flaw.pointer} ${flaw.message}`, flaw);
        for (const faultsName of listOf(matrix.faults)) {
          const faults = file.faults[faultsName] ?? faultsSchema.parse({});
          if (!read.parameters) continue;
          const { parameters } = read;
          const number = cells.length + 1;
          cells.push({ number, protocol, policy: labelOf(policy), teamSize, faultsName, faults, team, parameters });
        }
      }
    }
  }
  return { cells, flaws: [...flaws.values(), ...unusedPolicyFlaws(file)] };
}

/** `order=at_once, rounds=3`, or `default`. */
function labelOf(policy: JsonObject): string {
  const parts = Object.entries(policy).map(([key, value]) => {
    return `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
  return parts.join(", ") || "default";
}

/**
 * The first members of the file; a larger team has those without a role again, in turn, as `ada-2`, `bob-2`, `ada-3`. Without
 * any such, the last member does.
 */
function teamOf({ team }: ExperimentFile, size: number): TeamMember[] {
  const { members } = team;
  const plain = members.filter(({ role }) => role === undefined);
  const again = plain.length > 0 ? plain : [{ ...members.at(-1)!, role: undefined }];
  return Array.from({ length: size }, (_, index) => {
    const more = index - members.length;
    const member = members[index] ?? again[more % again.length]!;
    const { role = null, weight = 1, behaviour } = member;
    const name = more < 0 ? member.name : `${member.name}-${2 + Math.floor(more / again.length)}`;
    return { name, role, weight, behaviour: behaviourOf(behaviour) };
  });
}

function parametersOf(
  { question, options, terms }: ExperimentFile,
  protocol: ProtocolName,
  policy: JsonObject,
  team: readonly TeamMember[],
): JsonObject {
  const members = team.map(({ name, role, weight }) => ({ name, weight, ...(role !== null && { role }) }));
  const choices = protocol === "vote" ? { options } : {};
  return { ...choices, ...terms, ...policy, protocol, topic: question, members };
}

const reserved = ["protocol", "topic", "question", "task", "members", "seed"];

interface Origin {
  file: ExperimentFile;
  protocol: ProtocolName;
  policy: JsonObject;
  index: number;
}

/** Where in the file the flaw of a conversation comes from. */
function placeOf(pointer: string, { file, protocol, policy, index }: Origin): string {
  const [, key = "", ...rest] = pointer.split("/");
  const tail = rest.map((segment) => `/${segment}`).join("");
  const isList = Array.isArray(file.matrix.policy[protocol]);
  const policyPlace = `/matrix/policy/${protocol}${isList ? `/${index}` : ""}`;
  if (Object.hasOwn(policy, key)) return `${policyPlace}/${key}${tail}`;
  if (Object.hasOwn(file.terms, key)) return `/terms/${key}${tail}`;
  if (key === "topic") return "/question";
  if (key !== "members") return "/matrix/protocol";
  const isOriginal = Number(rest[0]) < file.team.members.length;
  return isOriginal ? `/team/members${tail}` : "/team/members";
}

function readParameters(
  given: JsonObject,
  at: (pointer: string) => string,
): { parameters?: ConversationParameters; flaws: Issue[] } {
  try {
    return { parameters: readConversation(given), flaws: [] };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    const flaws = error.issues.map(({ message, pointer }) => {
      const place = at(pointer);
      // The sentence of a flaw begins with where it is, in the conversation's own parameters.
      const isPlaced = pointer !== "" && message.startsWith(pointer);
      return invalid(
        isPlaced ? `${place}${message.slice(pointer.length)}` : `With ${given.protocol}: ${message}`,
        place,
      );
    });
    return { flaws };
  }
}

/** Also what is not played is to be right, so that the protocol can be changed; and nothing may be set that the matrix sets. */
function unusedPolicyFlaws({ matrix }: ExperimentFile): Issue[] {
  return Object.entries(matrix.policy).flatMap(([protocol, policies]) =>
    listOf(policies as JsonObject | JsonObject[]).flatMap((policy, index) => {
      const place = `/matrix/policy/${protocol}${Array.isArray(policies) ? `/${index}` : ""}`;
      const known = Object.keys(conversationSchemas[protocol as ProtocolName].shape);
      const isPlayed = listOf(matrix.protocol).includes(protocol as ProtocolName);
      return Object.keys(policy).flatMap((key) => {
        const pointer = pointerTo(place, key);
        if (reserved.includes(key)) return [invalid(`${pointer} is set by the experiment itself. Remove it.`, pointer)];
        if (isPlayed || known.includes(key)) return [];
        return [invalid(`${pointer} is not a key that this has.${didYouMean(key, known) || " Remove it."}`, pointer)];
      });
    }),
  );
}
