/** Compares answers with what the OpenAPI document says they are. */
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { JsonObject } from "../../core/json.ts";

export interface OpenApi {
  openapi: string;
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonObject>; securitySchemes: JsonObject };
}

export interface Operation {
  tags?: string[];
  summary?: string;
  operationId: string;
  security?: { apiKey?: string[]; agentToken?: [] }[];
  parameters?: { name: string; in: string; required?: boolean; schema: JsonObject }[];
  requestBody?: { content: Content };
  responses: Record<string, { description: string; content?: Content }>;
}

type Content = Record<string, { schema: JsonObject }>;

/** Everything in an answer that its operation's schema does not allow; nothing for answers that are not JSON. */
export function conformanceTo(document: OpenApi) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, "openapi");
  const operations = Object.entries(document.paths).flatMap(([template, methods]) => {
    const pattern = new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
    return Object.keys(methods).map((method) => ({ template, pattern, method }));
  });
  // As the router has it: what is written out comes before what any value may stand for.
  operations.sort((a, b) => Number(a.template.includes("{")) - Number(b.template.includes("{")));
  return ({ method, path }: { method: string; path: string }, status: number, body: unknown): string[] => {
    const [bare = ""] = path.split("?");
    const found = operations.find((one) => one.method === method.toLowerCase() && one.pattern.test(bare));
    if (!found || body === undefined) return [];
    const { responses } = document.paths[found.template]![found.method]!;
    const code = String(status) in responses ? String(status) : "default";
    const type = status < 400 || code !== "default" ? "application/json" : "application/problem+json";
    if (!responses[code]?.content?.[type])
      return [`${method} ${found.template} does not say what it answers with ${status}`];
    const place = ["paths", found.template, found.method, "responses", code, "content", type, "schema"].map(encoded);
    const validate = ajv.getSchema(`openapi#/${place.join("/")}`)!;
    if (validate(body)) return [];
    return validate.errors!.map(
      (flaw) => `${method} ${found.template} ${status}: ${flaw.instancePath} ${flaw.message}`,
    );
  };
}

function encoded(segment: string): string {
  return encodeURIComponent(segment.replaceAll("~", "~0").replaceAll("/", "~1"));
}
