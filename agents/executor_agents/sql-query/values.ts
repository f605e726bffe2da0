/**
 * What PostgreSQL sends, as JSON. Nothing is rounded: integers of 64 bits and decimals stay text, as JSON's numbers cannot
 * hold them; times keep their microseconds. Types not listed stay PostgreSQL's own text.
 */

import pg from "pg";
import type { Json } from "../../../core/json.ts";

type Parser = (text: string) => Json;

const asNumber: Parser = (text) => {
  const number = Number(text);
  return Number.isFinite(number) ? number : text; // NaN and Infinity are no JSON
};
const asJson: Parser = (text) => JSON.parse(text) as Json;
const asBase64: Parser = (text) => Buffer.from(text.slice("\\x".length), "hex").toString("base64");
/** RFC 3339; `infinity` and years before Christ stay as they are. */
const asTimestamp: Parser = (text) => {
  const [, date, time, offset = ""] =
    /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d(?::\d\d)*)?$/.exec(text) ?? [];
  if (date === undefined) return text;
  const zone = offset === "+00" ? "Z" : /^[+-]\d\d$/.test(offset) ? `${offset}:00` : offset;
  return `${date}T${time}${zone}`;
};

/** Type, oid of the type, oid of its array, and how its text is read. */
const types: readonly (readonly [name: string, oid: number, arrayOid: number, parse: Parser])[] = [
  ["bool", 16, 1000, (text) => text === "t"],
  ["int2", 21, 1005, asNumber],
  ["int4", 23, 1007, asNumber],
  ["oid", 26, 1028, asNumber],
  ["float4", 700, 1021, asNumber],
  ["float8", 701, 1022, asNumber],
  ["json", 114, 199, asJson],
  ["jsonb", 3802, 3807, asJson],
  ["bytea", 17, 1001, asBase64],
  ["timestamp", 1114, 1115, asTimestamp],
  ["timestamptz", 1184, 1185, asTimestamp],
  ["int8", 20, 1016, String],
  ["numeric", 1700, 1231, String],
  ["text", 25, 1009, String],
  ["varchar", 1043, 1015, String],
  ["bpchar", 1042, 1014, String],
  ["name", 19, 1003, String],
  ["uuid", 2950, 2951, String],
  ["date", 1082, 1182, String],
  ["time", 1083, 1183, String],
  ["interval", 1186, 1187, String],
];

/** The type of its parameter lists the types but not their arrays. */
const TEXT_ARRAY = 1009 as Parameters<typeof pg.types.getTypeParser>[0];
const elementsOf = pg.types.getTypeParser(TEXT_ARRAY) as (text: string) => Elements;
type Elements = (string | null | Elements)[];

function asArray(parse: Parser): Parser {
  const convert = (elements: Elements): Json[] =>
    elements.map((element) => (Array.isArray(element) ? convert(element) : element === null ? null : parse(element)));
  return (text) => convert(elementsOf(text));
}

const parsers = new Map<number, Parser>(
  types.flatMap(([, oid, arrayOid, parse]) => [
    [oid, parse],
    [arrayOid, asArray(parse)],
  ]),
);

/** For `pg`, in place of its own, which make dates and lose digits. */
export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number) => parsers.get(oid) ?? String) as pg.CustomTypesConfig["getTypeParser"],
};
