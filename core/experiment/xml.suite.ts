/** A reader of XML for tests: elements and attributes, without namespaces, DTDs and processing. Throws at what is not well-formed. */

export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  children: XmlElement[];
  text: string;
}

const token = /<\?xml[^?]*\?>|<(\/?)([\w.:-]+)((?:\s+[\w.:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gy;

export function readXml(source: string): XmlElement {
  const top: XmlElement = { name: "", attributes: {}, children: [], text: "" };
  const open = [top];
  let end = 0;
  for (const match of source.matchAll(token)) {
    end = match.index + match[0].length;
    const [, isEnd, name, attributes, isEmpty, text] = match;
    const parent = open.at(-1)!;
    if (text !== undefined) parent.text += unescaped(text);
    if (name === undefined) continue;
    if (isEnd) {
      if (open.pop()!.name !== name) throw new Error(`</${name}> closes <${parent.name}>.`);
      continue;
    }
    const element: XmlElement = { name, attributes: attributesIn(attributes!), children: [], text: "" };
    parent.children.push(element);
    if (!isEmpty) open.push(element);
  }
  if (end !== source.length) throw new Error(`Not well-formed at ${JSON.stringify(source.slice(end, end + 60))}.`);
  if (open.length !== 1) throw new Error(`<${open.at(-1)!.name}> is not closed.`);
  if (top.children.length !== 1 || top.text.trim() !== "") throw new Error("There is not one root.");
  return top.children[0]!;
}

function attributesIn(text: string): Record<string, string> {
  const found = [...text.matchAll(/([\w.:-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, unescaped(value!)] as const);
  if (new Set(found.map(([key]) => key)).size !== found.length)
    throw new Error(`An attribute stands twice in ${text}.`);
  return Object.fromEntries(found);
}

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

function unescaped(text: string): string {
  return text.replace(/&([^;\s]*;?)/g, (whole, name: string) => {
    const character = entities[name.replace(";", "")];
    if (character === undefined || !name.endsWith(";")) throw new Error(`${whole} is no entity.`);
    return character;
  });
}
