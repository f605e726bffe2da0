/**
 * Equality of JSON values in schemas. Ajv calls `valueOf` and `toString` of what it compares, and goes by its `constructor`: in
 * JSON these are names like others, and a value that has them would be refused, or break the validation.
 */
import type { Ajv2020 } from "ajv/dist/2020.js";
import { canonicalJson, type Json } from "./json.ts";

/** Pays for what a comparison reads. */
export type Spend = (steps: number) => void;

/** Replaces the keywords that compare values. Whatever `spend` throws comes out of the validation. */
export function compareAsJson(ajv: Ajv2020, spend: Spend = () => {}): void {
  const textOf = (value: Json) => {
    const text = canonicalJson(value);
    spend(1 + (text.length >> 2));
    return text;
  };
  addUniqueItems(ajv, textOf);
  addChoice(ajv, "const", textOf);
  addChoice(ajv, "enum", textOf);
}

/** Ajv compares every pair of items; this compares their texts. */
function addUniqueItems(ajv: Ajv2020, textOf: (value: Json) => string): void {
  ajv.removeKeyword("uniqueItems");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    error: { message: "must not hold the same item twice" },
    validate: (isAsked: boolean, items: Json[]) => !isAsked || new Set(items.map(textOf)).size === items.length,
  });
}

function addChoice(ajv: Ajv2020, keyword: "const" | "enum", textOf: (value: Json) => string): void {
  ajv.removeKeyword(keyword);
  ajv.addKeyword({
    keyword,
    error: { message: "must be equal to one of the allowed values" },
    compile: (schema: Json) => {
      const allowed = keyword === "enum" ? (schema as Json[]) : [schema];
      const plain = new Set(allowed.filter((value) => !isComposite(value)));
      const texts = new Set(allowed.filter(isComposite).map(canonicalJson));
      return (value: Json) => (isComposite(value) ? texts.size > 0 && texts.has(textOf(value)) : plain.has(value));
    },
  });
}

function isComposite(value: Json): boolean {
  return typeof value === "object" && value !== null;
}
