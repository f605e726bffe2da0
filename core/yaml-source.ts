/** YAML text as JSON values with positions: YAML 1.2 core schema, one document, no merge keys, no tags of one's own. */
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  type YAMLMap,
} from "yaml";
import type { Issue } from "./errors.ts";
import { MAX_ISSUES } from "./issues.ts";
import { type Json, pointerTo } from "./json.ts";
import { formatCount, type Limits, limitSentence } from "./limits.ts";
import { type Offsets, placeIssues, positionAt, type Source, segmentsOf } from "./source.ts";

/**
 * Reads YAML text; aliases are written out as copies. Its issues are syntax errors, keys that stand twice or are no
 * strings, tags, unknown anchors, aliases that multiply, and nesting beyond the limit. Never throws.
 */
export function readYaml(text: string, limits: Limits): Source {
  const lines = new LineCounter();
  const { tokens, deepAt } = tokenize(text, lines, limits.jsonDepth);
  const parsed = deepAt === undefined ? compose(tokens, text.length) : { flaws: [tooDeep(deepAt, limits)] };
  const toIssue = ({ offset, ...issue }: Flaw): Issue => ({ ...issue, ...positionAt(lines, offset) });
  if (!("document" in parsed)) {
    return { value: undefined, issues: parsed.flaws.map(toIssue), place: (issues) => [...issues] };
  }
  const { value, flaws, targetOf } = convert(parsed.document, limits);
  return {
    value,
    issues: flaws.map(toIssue),
    place: (issues) => placeIssues(issues, lines, (pointer) => offsetsOf(parsed.document.contents, pointer, targetOf)),
  };
}

type Flaw = Issue & { offset: number };

/** The parser's stack holds the document and the scalar at hand besides the open collections. */
const STACK_BESIDE_COLLECTIONS = 2;

/**
 * The tokens, or where nesting passes the limit. It has to be found here: the composer recurses, and with little stack
 * left V8 aborts the process ("RegExpCompiler Allocation failed") where one would expect a RangeError to catch.
 */
function tokenize(text: string, lines: LineCounter, maxDepth: number): { tokens: CST.Token[]; deepAt?: number } {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > maxDepth + STACK_BESIDE_COLLECTIONS) return { tokens, deepAt: parser.offset };
  }
  for (const token of parser.end()) tokens.push(token);
  return { tokens };
}

/** The one document in the tokens, or what is wrong with its syntax. */
function compose(tokens: CST.Token[], length: number): { document: Document.Parsed } | { flaws: Flaw[] } {
  // `uniqueKeys` compares all pairs of keys (20,000 keys: 3 s); `convert` looks each key up instead.
  const composer = new Composer({ schema: "core", merge: false, resolveKnownTags: false, uniqueKeys: false });
  const documents = composer.compose(tokens, true, length);
  const document = documents.next().value as Document.Parsed;
  const next = documents.next();
  const flaws = [...document.errors, ...document.warnings]
    .slice(0, MAX_ISSUES)
    .map((error) => flawAt(error.pos[0], `The YAML cannot be read here: ${error.message}.`));
  if (!next.done) {
    flaws.push(flawAt(next.value.range[0], "A second YAML document begins here; keep one workflow to a file."));
  }
  return flaws.length > 0 ? { flaws } : { document };
}

/** What aliases may add to a document: each value they repeat costs its text and `COST_OF_VALUE`. */
const MAX_ALIASED_CHARACTERS = 16 * 1_024 * 1_024;
const COST_OF_VALUE = 16;

/** A conversion under way. */
interface Conversion {
  limits: Limits;
  flaws: Flaw[];
  anchors: Map<string, Node>;
  /** The node each alias stands for. */
  targetOf: Map<Node, Node>;
  aliasedCharacters: number;
  /** A limit was passed: nothing further is looked at. */
  isStopped: boolean;
}

/** Where a node stands in the value that comes out. */
interface Place {
  pointer: string;
  depth: number;
  /** The alias, outermost if in several, that repeats the node here. */
  alias?: Node;
}

/** The document as a JSON value; undefined when it had to stop early. Recursion is bounded by the depth limit. */
function convert(document: Document.Parsed, limits: Limits): Conversion & { value: unknown } {
  const conversion: Conversion = {
    limits,
    flaws: [],
    anchors: new Map(),
    targetOf: new Map(),
    aliasedCharacters: 0,
    isStopped: false,
  };
  const value = toJson(conversion, document.contents, { pointer: "", depth: 0 });
  return { ...conversion, value: conversion.isStopped ? undefined : value };
}

function toJson(conversion: Conversion, node: Node | null, place: Place): Json {
  if (conversion.isStopped || node === null) return null;
  if (isAlias(node)) return toAliasedJson(conversion, node, place);
  if (node.anchor && !place.alias) conversion.anchors.set(node.anchor, node);
  if (place.alias) spend(conversion, place.alias, COST_OF_VALUE + (isScalar(node) ? String(node.value).length : 0));
  if (isScalar(node)) return node.value as Json;
  if (place.depth >= conversion.limits.jsonDepth) stop(conversion, tooDeep(startOf(node), conversion.limits));
  if (isSeq<Node | null>(node)) {
    return node.items.map((item, index) => toJson(conversion, item, inside(place, index)));
  }
  return toObject(conversion, node as YAMLMap<Node, Node | null>, place);
}

function toAliasedJson(conversion: Conversion, alias: Node & { source: string }, place: Place): Json {
  // An alias inside a repeated node means what it meant where it was written, even if its anchor was set anew since.
  const target = conversion.targetOf.get(alias) ?? conversion.anchors.get(alias.source);
  if (!target) {
    const message = `The alias \`*${alias.source}\` names no anchor; define \`&${alias.source}\` above it.`;
    addFlaw(conversion, alias, message, place.pointer);
    return null;
  }
  conversion.targetOf.set(alias, target);
  return toJson(conversion, target, { ...place, alias: place.alias ?? alias });
}

function toObject(conversion: Conversion, map: YAMLMap<Node, Node | null>, place: Place): Json {
  const object: { [key: string]: Json } = {};
  for (const { key: keyNode, value } of map.items) {
    const key = isScalar(keyNode) ? keyNode.value : undefined;
    const at = inside(place, String(key));
    if (typeof key !== "string") {
      addFlaw(conversion, keyNode ?? map, "A key here is not a string; put it in quotes.", place.pointer);
    } else if (key === "__proto__") {
      addFlaw(conversion, keyNode, "The key `__proto__` is refused; choose another.", at.pointer);
    } else if (Object.hasOwn(object, key)) {
      addFlaw(conversion, keyNode, `The key "${key}" stands twice in one object; remove one of the two.`, at.pointer);
    } else {
      if (place.alias) spend(conversion, place.alias, key.length);
      object[key] = toJson(conversion, value, at);
    }
  }
  return object;
}

function inside({ pointer, depth, alias }: Place, segment: string | number): Place {
  return { pointer: pointerTo(pointer, segment), depth: depth + 1, ...(alias && { alias }) };
}

function spend(conversion: Conversion, alias: Node, characters: number): void {
  conversion.aliasedCharacters += characters;
  if (conversion.aliasedCharacters <= MAX_ALIASED_CHARACTERS) return;
  const most = formatCount(MAX_ALIASED_CHARACTERS);
  stop(conversion, flawAt(startOf(alias), `Aliases repeat too much: more than ${most} characters; use fewer of them.`));
}

function stop(conversion: Conversion, flaw: Flaw): void {
  if (!conversion.isStopped) conversion.flaws.push(flaw);
  conversion.isStopped = true;
}

function addFlaw(conversion: Conversion, node: Node, message: string, pointer: string): void {
  if (conversion.flaws.length < MAX_ISSUES) conversion.flaws.push({ ...flawAt(startOf(node), message), pointer });
}

function offsetsOf(root: Node | null, pointer: string, targetOf: ReadonlyMap<Node, Node>): Offsets | undefined {
  let node = root;
  let key: Node | undefined;
  for (const segment of segmentsOf(pointer)) {
    const around: Node | null = node && (targetOf.get(node) ?? node);
    key = undefined;
    if (isSeq<Node | null>(around)) {
      node = around.items[Number(segment)] ?? null;
    } else if (isMap<Node, Node | null>(around)) {
      const pair: Pair<Node, Node | null> | undefined = around.items.find((item) => keyOf(item) === segment);
      key = pair?.key;
      node = pair?.value ?? key ?? null;
    } else {
      return undefined;
    }
    if (!node) return undefined;
  }
  return node ? { value: startOf(node), ...(key && { key: startOf(key) }) } : { value: 0 };
}

function keyOf(pair: Pair<Node, Node | null>): unknown {
  return isScalar(pair.key) ? pair.key.value : undefined;
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function flawAt(offset: number, message: string): Flaw {
  return { code: "YAML_INVALID", message, pointer: "", offset };
}

function tooDeep(offset: number, limits: Limits): Flaw {
  const message = `The document is nested too deeply here: ${limitSentence("jsonDepth", limits)}.`;
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message, pointer: "", offset };
}
