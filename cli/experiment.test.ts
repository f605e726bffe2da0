import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { version } from "../version.ts";
import { invoke } from "./invoke.suite.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-experiment-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const small = `name: small
description: A small one.
notes: Nothing much.
question: Who leads?
terms: { turn_deadline: 1s, deadline: 5s }
team:
  members:
    - { name: ada, behaviour: debater }
    - { name: bob, behaviour: debater }
    - { name: eve, behaviour: debater }
faults:
  rough: { loss: 0.1, duplication: 0.1, reordering: 0.1, delay: { distribution: exponential, mean: 20ms } }
matrix:
  protocol: [debate, vote, gossip]
  faults: [none, rough]
  repetitions: 3
`;

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

/** All files in it, by their paths in it. */
async function contentsOf(path: string): Promise<Map<string, string>> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(
    files
      .toSorted()
      .map(async (one): Promise<[string, string]> => [one.slice(path.length + 1), await readFile(one, "utf8")]),
  );
  return new Map(contents);
}

const runCells = [
  "c001-debate-3-none",
  "c002-debate-3-rough",
  "c003-vote-3-none",
  "c004-vote-3-rough",
  "c005-gossip-3-none",
  "c006-gossip-3-rough",
];

describe("skein experiment run", () => {
  it("plays every cell, prints a table, and leaves report, data, plots, logs and diagrams", async () => {
    const [path, out] = [await file("small.yaml", small), join(folder, "full")];
    const { code, stdout, stderr } = await invoke(["experiment", "run", path, "--out", out]);
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(
      /^PROTOCOL +POLICY +TEAM +FAULTS +N +MESSAGES +ROUNDS +LATENCY +AGREEMENT +ACCURACY +COST +SUCCESS$/,
    );
    expect(lines).toHaveLength(1 + 6 + 2);
    expect(lines.at(-1)).toBe(`Written to ${out}`);
    const files = await contentsOf(out);
    expect([...files.keys()].toSorted()).toEqual(
      [
        "README.md",
        "cells.csv",
        "events.ocel.json",
        "events.xes",
        "experiment.yaml",
        ...["accuracy", "agreement", "cost", "latency", "messages", "rounds", "success"].map(
          (name) => `plots/${name}.svg`,
        ),
        ...runCells.flatMap((name) => [`runs/${name}.mmd`, `runs/${name}.svg`]),
        "trials.csv",
        "trials.jsonl",
      ].toSorted(),
    );
    expect(files.get("experiment.yaml")).toBe(small);
    expect(files.get("README.md")).toContain(`skein experiment run ${path} --out ${out}\n`);
    expect(files.get("README.md")).toContain(`Skein ${version}; seed 1; 18 conversations`);
    expect(files.get("trials.jsonl")!.trimEnd().split("\n")).toHaveLength(18);
  });

  it("gives the same files to the byte in another process, and other results for another seed", async () => {
    const path = await file("again.yaml", small);
    const out = join(folder, "again");
    const args = ["experiment", "run", path, "--force", "--out", out];
    await invoke(args);
    const here = await contentsOf(out);
    await rm(out, { recursive: true });
    await promisify(execFile)(process.execPath, ["--import", "tsx", "cli/main.ts", ...args], {
      cwd: join(import.meta.dirname, ".."),
    });
    const there = await contentsOf(out);
    expect(there).toEqual(here);
    expect(here.get("trials.jsonl")!.length).toBeGreaterThan(1_000);
    await invoke([...args, "--seed", "2"]);
    const other = await contentsOf(out);
    expect(other.get("trials.jsonl")).not.toBe(here.get("trials.jsonl"));
    expect(other.get("README.md")).toContain(`skein experiment run ${path} --seed 2 --out ${out} --force\n`);
  });

  it("takes seeds and repetitions in the place of the file's, and prints JSON", async () => {
    const out = join(folder, "json");
    const path = await file("json.yaml", small);
    const args = [
      "experiment",
      "run",
      path,
      "--seed",
      "5",
      "--seed",
      "6",
      "--repetitions",
      "2",
      "--out",
      out,
      "--json",
    ];
    const { folder: told, cells } = JSON.parse((await invoke(args)).stdout);
    expect(told).toBe(out);
    expect(cells).toHaveLength(6);
    expect(cells[0]).toMatchObject({
      cell: 1,
      protocol: "debate",
      team_size: 3,
      faults: "none",
      count: 4,
      success: { mean: 1 },
    });
  });

  it("plays the same on the real clock, and says so", async () => {
    const out = join(folder, "real");
    // Nobody is silent however slow this machine is: nothing is lost, and a minute is three seconds.
    const text = small
      .replace("turn_deadline: 1s, deadline: 5s", "turn_deadline: 1m, deadline: 5m")
      .replace("faults: [none, rough]", "faults: none")
      .replace("[debate, vote, gossip]", "[vote, gossip]");
    const path = await file("real.yaml", text);
    const args = ["experiment", "run", path, "--clock", "real", "--time-scale", "0.05", "--out", out];
    const { code, stdout } = await invoke(args);
    expect(code).toBe(0);
    expect(stdout).toContain("On the real clock, a second of the trial in 0.05 s");
    const report = await readFile(join(out, "README.md"), "utf8");
    expect(report).toContain(
      "On the real clock, a second of the trial in 0.05 s: times and whatever depends on them differ",
    );
    expect(report).toContain("--clock real --time-scale 0.05");
    const rows = (await readFile(join(out, "trials.jsonl"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(6);
    for (const row of rows) {
      expect(row).toMatchObject({ status: "completed", silent: 0, refused: 0, lost: 0 });
      expect(row.latency_ms).toBeGreaterThan(0);
      if (row.protocol === "vote") expect(row).toMatchObject({ accepted: 3, messages: 9, rounds: 1 });
    }
  });

  it("does not write over what is there, unless it is told to; then nothing old is left", async () => {
    const [path, out] = [await file("over.yaml", small), join(folder, "over")];
    await mkdir(join(out, "runs"), { recursive: true });
    await writeFile(join(out, "runs", "c099-old.svg"), "");
    const refused = await invoke(["experiment", "run", path, "--out", out]);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("is there already; name another with --out, or write over it with --force.");
    expect((await invoke(["experiment", "run", path, "--out", out, "--force"])).code).toBe(0);
    expect((await readdir(join(out, "runs"))).filter((name) => name.endsWith(".svg"))).toEqual(
      runCells.map((name) => `${name}.svg`),
    );
  });

  it("stops when it is interrupted, and writes nothing", async () => {
    const out = join(folder, "interrupted");
    const path = await file("long.yaml", small.replace("repetitions: 3", "repetitions: 1000"));
    for (const clock of ["virtual", "real"]) {
      const args = ["experiment", "run", path, "--out", out, "--clock", clock];
      const { code, stderr } = await invoke(args, { signal: AbortSignal.timeout(50) });
      expect([code, stderr]).toEqual([1, "Interrupted; nothing was written.\n"]);
    }
    await expect(readdir(out)).rejects.toThrow("ENOENT");
  });

  it.each([
    ["no such file", ["nowhere.yaml"], /Cannot read nowhere.yaml: there is no such file/],
    [
      "no such experiment",
      ["nothing"],
      /There is no experiment "nothing"; name a file, or one of abc, agreement, allocation\./,
    ],
    ["too many repetitions", ["abc", "--repetitions", "1001"], /It must be a whole number from 1 to 1000/],
    ["a clock that there is not", ["abc", "--clock", "lunar"], /Allowed choices are virtual, real/],
    [
      "seeds that come to too much",
      ["abc", ...Array.from({ length: 2 }, (_, n) => ["--seed", `${n}`]).flat(), "--repetitions", "600"],
      /24,000 conversations, and at most 20,000 are played/,
    ],
  ])("refuses %s before anything runs", async (_, args, message) => {
    const out = join(folder, "refused");
    const { code, stdout, stderr } = await invoke(["experiment", "run", ...args, "--out", out]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
    await expect(readdir(out)).rejects.toThrow("ENOENT");
  });
});

describe("skein experiment validate", () => {
  const bad = small.replace("loss: 0.1", "loss: 10").replace("faults: [none, rough]", "faults: [none, rouh]");

  it("says everything that is wrong, with line and column, and plays nothing", async () => {
    const [good, wrong] = [await file("good.yaml", small), await file("bad.yaml", bad)];
    const { code, stdout, stderr } = await invoke(["experiment", "validate", good, wrong]);
    expect(code).toBe(2);
    expect(stdout).toBe(`✔ ${good}: small, 6 cells, 18 conversations\n`);
    expect(stderr).toBe(
      `${wrong} has one mistake:\n  ${wrong}:12:18 /faults/rough/loss must be at most 1. [EXPERIMENT_INVALID]\n`,
    );
  });

  it("prints JSON for programs, with pointers", async () => {
    const path = await file("worse.yaml", bad.replace("loss: 10", "loss: 0.1"));
    const { code, stdout } = await invoke(["experiment", "validate", path, "--json"]);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      file: path,
      valid: false,
      errors: [
        {
          code: "EXPERIMENT_INVALID",
          message: '/matrix/faults/1 is not one of the fault profiles. Did you mean "rough"?',
          pointer: "/matrix/faults/1",
          line: 15,
          column: 18,
        },
      ],
    });
  });
});

describe("skein experiment list", () => {
  it("names those that come with Skein", async () => {
    const { code, stdout } = await invoke(["experiment", "list"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^EXPERIMENT +CELLS +CONVERSATIONS +DESCRIPTION\nabc .*\nagreement .*\nallocation .*\nTo run one: /,
    );
    const listed = JSON.parse((await invoke(["experiment", "list", "--json"])).stdout);
    expect(listed.map(({ name }: { name: string }) => name)).toEqual(["abc", "agreement", "allocation"]);
  });
});
