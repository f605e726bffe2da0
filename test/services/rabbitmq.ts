import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { connect } from "amqplib";
import { freePort } from "./free-port.ts";
import { type Command, findOnPath, type Service } from "./service.ts";

export const rabbitmq: Service = {
  urlVariable: "AMQP_URL",
  aptPackage: "rabbitmq-server",
  // Debian's command in /usr/sbin is a wrapper that changes user and folder; the real script takes a private node.
  find: async () => findOnPath("rabbitmq-server", ["/usr/lib/rabbitmq/bin"]),
  url: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
  async ping(url) {
    const connection = await connect(url);
    await connection.close();
  },
  async prepare({ binary, port, folder }) {
    const epmdPort = String(await freePort());
    const env = {
      // Holds the Erlang cookie, so that this node and its tools know only each other.
      HOME: join(folder, "home"),
      ERL_EPMD_PORT: epmdPort,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: `skein-${port}@localhost`,
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_GENERATED_CONFIG_DIR: join(folder, "generated"),
      RABBITMQ_PID_FILE: join(folder, "pid"),
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "plugins"),
      // A file that does not exist keeps the machine's own settings out.
      RABBITMQ_CONF_ENV_FILE: join(folder, "none"),
      // Makes the script exec the broker, so that the process we started is the one to kill. Nothing else looks at it.
      RUNNING_UNDER_SYSTEMD: "true",
    };
    await mkdir(env.HOME);
    await writeFile(env.RABBITMQ_ENABLED_PLUGINS_FILE, "[].\n");
    const config = [`listeners.tcp.1 = 127.0.0.1:${port}`, "log.console = true", "log.console.level = warning", ""];
    await writeFile(env.RABBITMQ_CONFIG_FILE, config.join("\n"));
    return [...privateEpmd(epmdPort), { file: binary, args: [], env }];
  },
  container: { image: "rabbitmq:4", port: 5672, env: {}, args: () => [] },
  controlProgram: "rabbitmqctl",
};

/** Our own epmd in the foreground, to be ended by pid: the one the broker starts by itself is a daemon that outlives it. */
function privateEpmd(port: string): Command[] {
  const file = findOnPath("epmd");
  return file ? [{ file, args: ["-port", port, "-address", "127.0.0.1"] }] : [];
}

/**
 * Creates a virtual host that the user of `amqpUrl` may use; `control` runs that broker's rabbitmqctl.
 * @returns the URL of the virtual host
 */
export async function createVirtualHost(amqpUrl: string, control: Command): Promise<string> {
  const vhost = `test-${randomUUID().slice(0, 8)}`;
  // Two calls at 0.6 s each: import_definitions would be one, but in RabbitMQ 4.0 it hangs when it reads its input.
  await run(control, ["add_vhost", vhost]);
  await run(control, ["set_permissions", "--vhost", vhost, "guest", ".*", ".*", ".*"]);
  return `${amqpUrl}/${vhost}`;
}

async function run({ file, args, env }: Command, more: string[]): Promise<void> {
  await promisify(execFile)(file, [...args, ...more], { env: { ...process.env, ...env } });
}
