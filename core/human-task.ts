/**
 * `capability: human.task`: a person completes the task by an answer that fits a form. The engine does it, as a wait for an
 * approval: no agent holds a slot or a lease while somebody thinks.
 */

import { agentKeys } from "./engine-task.ts";
import { type Issue, SkeinError } from "./errors.ts";
import { isJsonObject, type Json, type JsonObject, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import { nameIn } from "./reference.ts";
import { checkSchema, compileSchema, validate } from "./schema.ts";

export const HUMAN_TASK = "human.task";

const inputKeys = ["form", "assignee", "payload"];

/** The input of a `human.task` as what the wait waits for. */
export function approvalOf(input: Json): JsonObject {
  return { approval: input };
}

/** What is wrong with a task of a workflow for being a `human.task`; nothing when it is none. `at` is where it stands. */
export function wrongHumanTask(raw: Record<string, unknown>, id: string, at: string): Issue[] {
  const issue = (message: string, ...place: string[]): Issue => {
    return { code: "WORKFLOW_INVALID", message: `Task "${id}" ${message}`, pointer: place.reduce(pointerTo, at) };
  };
  if (isJsonObject(raw.compensate) && raw.compensate.capability === HUMAN_TASK) {
    return [issue("is undone by agents, not by a person; name another capability.", "compensate", "capability")];
  }
  const { capability, input } = raw;
  if (typeof capability !== "string" || nameIn(capability) !== HUMAN_TASK) return [];
  if (capability !== HUMAN_TASK) return [issue("asks a person, who has no version; remove it.", "capability")];
  const beside = agentKeys
    .filter((key) => raw[key] !== undefined)
    .map((key) => issue(`has \`${key}\`, which means nothing beside \`${HUMAN_TASK}\`; remove it.`, key));
  if (!isJsonObject(input) || input.form === undefined) {
    return [...beside, issue("has no `input` with a `form`: the JSON Schema of the answer; add it.", "input")];
  }
  const unknown = Object.keys(input)
    .filter((key) => !inputKeys.includes(key))
    .map((key) => {
      const remedy = didYouMean(key, inputKeys) || ` It may have ${inputKeys.join(", ")}.`;
      return issue(`has an unknown key "${key}" in its \`input\`.${remedy}`, "input", key);
    });
  const assignee =
    input.assignee === undefined || typeof input.assignee === "string"
      ? []
      : [issue("has an `assignee` that is no text.", "input", "assignee")];
  return [...beside, ...unknown, ...assignee, ...wrongForm(input.form, `${at}/input/form`)];
}

/** With expressions in it, a form is looked at when the task starts. */
function wrongForm(form: Json, pointer: string): Issue[] {
  return JSON.stringify(form).includes("{{") ? [] : checkSchema(form, pointer);
}

/** Why a form cannot be one, once its expressions have been evaluated; undefined for one that can. */
export function formFlaw(form: Json): string | undefined {
  return checkSchema(form, "")[0]?.message;
}

/** What is wrong with somebody's answer to a wait, as it is written; nothing where it has no form. */
export function answerIssues(wait: Json, answer: Json): Issue[] {
  const approval = isJsonObject(wait) ? wait.approval : undefined;
  if (!isJsonObject(approval) || approval.form === undefined) return [];
  try {
    return validate(compileSchema(approval.form), answer, "ANSWER_INVALID", "/payload");
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return [{ code: "ANSWER_INVALID", message: `No answer fits the form: ${error.message}`, pointer: "/payload" }];
  }
}
