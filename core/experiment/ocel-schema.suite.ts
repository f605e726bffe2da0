/** The JSON Schema of OCEL 2.0, as section 8.2 of its specification prints it. */
const text = { type: "string" };
const time = { type: "string", format: "date-time" };

function object(properties: Record<string, unknown>, required: string[] = Object.keys(properties)) {
  return { type: "object", properties, required };
}

function list(items: unknown) {
  return { type: "array", items };
}

const type = object({ name: text, attributes: list(object({ name: text, type: text })) });
const relationships = list(object({ objectId: text, qualifier: text }));

export const ocelSchema = {
  ...object({
    eventTypes: list(type),
    objectTypes: list(type),
    events: list(
      object({ id: text, type: text, time, attributes: list(object({ name: text, value: text })), relationships }, [
        "id",
        "type",
        "time",
      ]),
    ),
    objects: list(
      object({ id: text, type: text, relationships, attributes: list(object({ name: text, value: text, time })) }, [
        "id",
        "type",
      ]),
    ),
  }),
  $schema: "http://json-schema.org/draft-07/schema#",
};
