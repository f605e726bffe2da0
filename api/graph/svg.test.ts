import { describe, expect, it } from "vitest";
import { taskStatuses } from "../../core/run.ts";
import { appearances } from "./appearance.ts";
import { pagePolicy, renderHtml } from "./html.ts";
import { findXmlFlaw, hostileTexts, hostileView, nodeOf, viewOf } from "./samples.suite.ts";
import { renderSvg } from "./svg.ts";

const count = (text: string, part: string) => text.split(part).length - 1;
const sizeOf = (svg: string) => {
  const [, width, height] = svg.match(/width="(\d+)" height="(\d+)"/) ?? [];
  return { width: Number(width), height: Number(height) };
};
/** Top left corners and widths of the cards. */
const cardsOf = (svg: string) =>
  [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="46"/g)].map(([, x, y, width]) => ({
    x: Number(x),
    y: Number(y),
    width: Number(width),
  }));

describe("renderSvg", () => {
  it("draws a card per task, an arrow per need, and a legend of the statuses that occur", async () => {
    const svg = await renderSvg(
      viewOf([
        nodeOf("search", [], { status: "completed" }),
        nodeOf("read", ["search"], { status: "failed", error: "HTTP_503", attempt: 3 }),
        nodeOf("check", ["search"]),
        nodeOf("write", ["read", "check"]),
      ]),
    );
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(cardsOf(svg)).toHaveLength(4);
    expect(count(svg, 'marker-end="url(#skein-done)"')).toBe(3);
    expect(count(svg, 'marker-end="url(#skein-open)"')).toBe(1);
    for (const text of [">HTTP_503 · attempt 3<", ">2 pending<", ">1 failed<", ">1 completed<"])
      expect(svg).toContain(text);
    expect(svg).not.toContain(" running<");
  });

  it("says every status with a colour and with a sign of its own", async () => {
    const svg = await renderSvg(viewOf(taskStatuses.map((status) => nodeOf(status, [], { status }))));
    for (const status of taskStatuses) expect(svg).toContain(`<path d="${appearances[status].icon}"`);
    expect(new Set(Object.values(appearances).map(({ icon }) => icon)).size).toBe(taskStatuses.length);
    expect(new Set(Object.values(appearances).map(({ glyph }) => glyph)).size).toBe(taskStatuses.length);
  });

  it("stays well-formed and holds nothing active, whatever the labels say", async () => {
    const svg = await renderSvg(hostileView);
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(svg).not.toMatch(/<(?:script|foreignObject|a|image|use|style|animate)\b| on\w+="| (?:xlink:)?href="/i);
    expect(cardsOf(svg)).toHaveLength(hostileTexts.length);
    // A label is cut, a tooltip is cut later: 17 nodes with keys of 8,000 characters stay a small document.
    expect(svg.length).toBeLessThan(60_000);
  });

  it("keeps its cards inside the picture and apart from each other", async () => {
    const nodes = Array.from({ length: 40 }, (_, i) => nodeOf(`t${i}`, i < 4 ? [] : [`t${i - 4}`, `t${(i * 7) % i}`]));
    const svg = await renderSvg(viewOf(nodes));
    const { width } = sizeOf(svg);
    const cards = cardsOf(svg);
    expect(cards).toHaveLength(40);
    for (const [i, a] of cards.entries()) {
      expect(a.x + a.width).toBeLessThan(width);
      for (const b of cards.slice(i + 1)) {
        expect(Math.abs(a.x - b.x) >= a.width || Math.abs(a.y - b.y) >= 46).toBe(true);
      }
    }
  });

  it("keeps every line of text inside its card, which is higher where it says how its needs are joined", async () => {
    const svg = await renderSvg(
      viewOf([
        nodeOf("a"),
        nodeOf("b"),
        nodeOf("quorum", ["a", "b"], { join: "2 of 3", attempt: 2 }),
        ...Array.from({ length: 1_200 }, (_, i) => nodeOf(`read[${i}]`, ["quorum"])),
      ]),
    );
    expect(svg).toContain(">starts on 2 of 3<");
    const cards = [...svg.matchAll(/<g><title>[^<]*<\/title>.*?<\/g><text.*?<\/g>/g)].map(([card]) => {
      const [, top = "", height = ""] =
        card.match(/.*<rect x="[^"]*" y="([^"]*)" width="[^"]*" height="(\d\d)" rx="8"/) ?? [];
      const lines = [...card.matchAll(/<text x="[^"]*" y="([^"]*)"/g)].map(([, y]) => Number(y) - Number(top));
      return { height: Number(height), lines };
    });
    expect(cards.map(({ height }) => height)).toEqual([46, 46, 62, 76]);
    for (const { height, lines } of cards) {
      expect(lines.length).toBeGreaterThanOrEqual(2);
      expect(Math.max(...lines)).toBeLessThan(height - 6);
    }
  });

  it("wraps a long chain like text instead of drawing a strip", async () => {
    const steps = Array.from({ length: 30 }, (_, i) => nodeOf(`step_${i}`, i === 0 ? [] : [`step_${i - 1}`]));
    const svg = await renderSvg(viewOf(steps));
    const { width, height } = sizeOf(svg);
    expect(width).toBeLessThan(1_300);
    expect(width / height).toBeGreaterThan(1);
    expect(new Set(cardsOf(svg).map(({ y }) => y)).size).toBeGreaterThan(3);
    expect(count(svg, "marker-end=")).toBe(29);
  });

  it("draws ten thousand instances as one card with counts", async () => {
    const fan = Array.from({ length: 10_000 }, (_, i) =>
      nodeOf(`read[${i}]`, ["list"], { status: i < 9_990 ? "completed" : "running" }),
    );
    const svg = await renderSvg(viewOf([nodeOf("list", [], { status: "completed" }), ...fan]));
    expect(svg).toContain(">10,000 tasks<");
    expect(svg).toContain(">9,990 completed, 10 running<");
    expect(svg.length).toBeLessThan(10_000);
  });

  it("draws a run that has no tasks yet", async () => {
    const svg = await renderSvg(viewOf([]));
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(svg).toContain("0 tasks");
  });

  it("stops for an aborted request", async () => {
    const signal = AbortSignal.abort(new Error("the client has gone"));
    await expect(renderSvg(viewOf([nodeOf("a")]), { signal })).rejects.toThrow("the client has gone");
  });
});

describe("renderHtml", () => {
  it("is one page with the picture, a table, and a policy that forbids everything from elsewhere", async () => {
    const html = await renderHtml(hostileView);
    expect(html).toContain(`<meta http-equiv="Content-Security-Policy" content="${pagePolicy}">`);
    expect(pagePolicy).toContain("default-src 'none'");
    expect(html).not.toMatch(/<(?:script|link|iframe|img)\b| on\w+="| (?:src|href)="/i);
    expect(count(html, "<svg ")).toBe(1);
    expect(count(html, "<tr>")).toBe(hostileTexts.length + 1);
  });

  it("loads itself again only while the run runs", async () => {
    const nodes = [nodeOf("a")];
    expect(await renderHtml(viewOf(nodes, { status: "running" }))).toContain('http-equiv="refresh"');
    expect(await renderHtml(viewOf(nodes, { status: "failed" }))).not.toContain('http-equiv="refresh"');
  });
});
