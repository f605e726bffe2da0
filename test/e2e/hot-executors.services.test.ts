/** `skein dev --executors` from the build, while the files of its executors change. Needs no servers, but the build. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Client, createClient } from "../../sdk/client.ts";

const main = join(import.meta.dirname, "../../dist/cli/main.js");
/** An embedded system takes 2 s to start, and far longer on a busy machine. */
const PATIENCE = { timeout: 120_000, interval: 20 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-hot-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFile(join(folder, name), text);

/** Greets at once; a guest who is late is greeted when the file `gate` is there. */
const greeter = `
import { existsSync } from "node:fs";
import { greeting } from "./words.mjs";

const contract = { version: "1", description: "", parseInput: (value) => value, parseOutput: (value) => value };

export const greet = {
  ...contract,
  capability: "my.greet",
  async run({ input }) {
    const word = greeting;
    while (input.late && !existsSync("gate")) await new Promise((resolve) => setTimeout(resolve, 20));
    return word + " from " + process.pid;
  },
};

export const echo = { ...contract, capability: "core.echo", run: () => "mine" };
`;

function start(args: string[]) {
  const { SKEIN_URL: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, "dev", "--data-dir", "data", "--port", "0", ...args], {
    cwd: folder,
    env,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return {
    child,
    output: () => output,
    /** Once it has been written so often. */
    saw: (text: string, times = 1) =>
      vi.waitFor(() => expect(output.split(text).length - 1, output).toBe(times), PATIENCE),
    ended: once(child, "close").then(([code]) => code as number | null),
  };
}

async function greetOf(client: Client, input: object = {}) {
  const tasks = [{ id: "a", capability: "my.greet", input: { ...input } }];
  const definition = { name: "greet", tasks, outputs: "{{ tasks.a.output }}" };
  return client.runs.submit({ definition });
}

function resultOf(client: Client, id: string): Promise<unknown> {
  return vi.waitFor(async () => {
    const { status, outputs, error } = await client.runs.result(id);
    expect({ status, error }).toEqual({ status: "completed", error: null });
    return outputs;
  }, PATIENCE);
}

const ask = async (client: Client) => resultOf(client, (await greetOf(client)).id);

describe("skein dev --executors", { timeout: 240_000 }, () => {
  it("loads what has changed anew, lets running attempts end with the old code, and keeps it when the new is broken", async () => {
    await write("greeter.mjs", greeter);
    await write("words.mjs", 'export const greeting = "Hello";\n');
    const dev = start(["--executors", "greeter.mjs"]);
    await dev.saw("Ctrl-C stops it");
    const [, url = ""] = /running at (\S+)/.exec(dev.output()) ?? [];
    const client = createClient({ url });
    const first = await ask(client);
    expect(first).toMatch(/^Hello from \d+$/);
    const late = await greetOf(client, { late: true });
    await vi.waitFor(async () => expect((await client.runs.task(late.id, "a")).status).toBe("running"), PATIENCE);

    await write("words.mjs", 'export const greeting = "Bonjour";\n');
    await dev.saw("the executors were reloaded");
    expect(await ask(client)).toMatch(/^Bonjour from \d+$/);
    expect((await client.runs.task(late.id, "a")).status).toBe("running");
    await write("gate", "");
    expect(await resultOf(client, late.id)).toBe(first);
    expect((await client.runs.task(late.id, "a")).attempt).toBe(1);

    await write("words.mjs", "export const greeting = ;\n");
    await dev.saw("the executors were not reloaded, the old ones go on: Cannot load the executors of greeter.mjs: ");
    expect(await ask(client)).toMatch(/^Bonjour/);
    await write("words.mjs", 'export const greeting = "Hallo";\n');
    await dev.saw("the executors were reloaded", 2);
    const last = (await ask(client)) as string;
    expect(last).toMatch(/^Hallo/);

    // A process that is gone is replaced.
    process.kill(Number(last.split(" ").at(-1)), "SIGKILL");
    await dev.saw("ended by itself (SIGKILL); starting it again");
    await dev.saw("the executors were reloaded", 3);
    const replaced = (await ask(client)) as string;
    expect(replaced).toMatch(/^Hallo/);

    dev.child.kill("SIGINT");
    expect(await dev.ended).toBe(0);
    expect(() => process.kill(Number(replaced.split(" ").at(-1)), 0)).toThrow("ESRCH");
  });

  it("says in one line why executors cannot be loaded, and ends", async () => {
    await write("none.mjs", "export const nothing = 1;\n");
    const dev = start(["--executors", "none.mjs"]);
    expect(await dev.ended).toBe(2);
    expect(dev.output().trim()).toBe(
      "none.mjs exports no executor; export what defineExecutor returns. [CONFIG_INVALID]",
    );
  });

  it("ends its executors when it is killed itself", async () => {
    await write("greeter.mjs", greeter);
    await write("words.mjs", 'export const greeting = "Hello";\n');
    const dev = start(["--executors", "greeter.mjs"]);
    await dev.saw("Ctrl-C stops it");
    const [, url = ""] = /running at (\S+)/.exec(dev.output()) ?? [];
    const pid = Number(((await ask(createClient({ url }))) as string).split(" ").at(-1));
    dev.child.kill("SIGKILL");
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow("ESRCH"), PATIENCE);
  });
});
