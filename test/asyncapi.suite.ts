/** docs/asyncapi.yaml, and what it says of a message. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";
import { isJsonObject, type Json, type JsonObject, pointerTo } from "../core/json.ts";

interface ChannelBinding {
  is: "queue" | "routingKey";
  exchange?: { name: string; type: string; durable: boolean; autoDelete: boolean };
  queue?: { name?: string; durable: boolean; exclusive: boolean; autoDelete: boolean };
  "x-arguments"?: Record<string, string | number>;
}

interface AsyncApi {
  channels: Record<
    string,
    { address: string | null; bindings: { amqp: ChannelBinding }; parameters?: Record<string, { enum?: string[] }> }
  >;
  operations: Record<string, { bindings: { amqp: { deliveryMode?: number; mandatory?: boolean } } }>;
  components: {
    messages: Record<string, { examples?: { headers?: Json; payload: Json }[] }>;
    schemas: Record<string, JsonObject>;
  };
}

export const asyncApi: AsyncApi = parse(readFileSync(join(import.meta.dirname, "../docs/asyncapi.yaml"), "utf8"), {
  merge: true,
});

export type Part = "payload" | "headers";

const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
ajv.addSchema(closed(asyncApi as unknown as Json) as JsonObject, "asyncapi");

/**
 * What is wrong with a part of a message, one line each. A field that the document does not have counts as wrong here,
 * though readers ignore it: whatever is sent is described.
 */
export function flawsOf(message: string, part: Part, value: unknown): string[] {
  const validate = ajv.getSchema(`asyncapi#/components/messages/${message}/${part}`);
  if (!validate) throw new Error(`docs/asyncapi.yaml has no ${part} of ${message}`);
  validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** Objects of which the document names the members, with no others allowed. */
function closed(value: Json, pointer = ""): Json {
  if (Array.isArray(value)) return value.map((item, i) => closed(item, pointerTo(pointer, i)));
  if (!isJsonObject(value)) return value;
  const inner = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, closed(child, pointerTo(pointer, key))]),
  );
  // Headers belong to the broker, too.
  const isOpen = !isJsonObject(value.properties ?? null) || /traceHeaders|\/headers\//.test(pointer);
  return isOpen ? inner : { additionalProperties: false, ...inner };
}
