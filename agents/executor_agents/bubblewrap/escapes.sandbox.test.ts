/** Attempts to get out of the sandbox, or to harm what is around it. Each must come to nothing, and the next task must run. */

import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Json } from "../../../core/json.ts";
import type { Executor } from "../../../sdk/executor.ts";
import { perform } from "../perform.suite.ts";
import { openBubblewrap } from "./bubblewrap.ts";
import { codePython } from "./code-python.ts";
import { processesWith } from "./process-list.suite.ts";
import { shellCommand } from "./shell-command.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const attackFile = readFileSync(new URL("../../../test/sandbox/attack.py", import.meta.url), "utf8");
const SECRET = "the-secret-of-the-host";
const MARKER = "escaped.txt";
/** As root, the sandbox runs as `nobody`, and so does the process it might reach: the kernel would let it. */
const asNobody = process.getuid?.() === 0 && { uid: 65_534, gid: 65_534 };

/** What the attempts aim at, on the host. */
interface Host {
  folder: string;
  tcpPort: number;
  udpPort: number;
  socketPath: string;
  abstractName: string;
  victim: ChildProcess;
}

let host: Host;
let servers: (Server | Socket)[];
let executors: { python: Executor; shell: Executor };
/** Everything that reached the host's servers. */
const reached: string[] = [];
const environment = { ...process.env };

beforeAll(async () => {
  if (!inject("canSandbox")) return;
  const sandbox = await openBubblewrap();
  executors = { python: codePython(sandbox) as Executor, shell: shellCommand(sandbox) as Executor };
  process.env.SKEIN_ADMIN_KEY = SECRET;
  const folder = mkdtempSync(join(tmpdir(), "skein-escapes-"));
  writeFileSync(join(folder, "secret.txt"), SECRET, { mode: 0o644 });
  const victim = spawn("sleep", ["600"], { stdio: "ignore", ...asNobody });
  const tcp = await listening(0, "tcp");
  const socketPath = join(folder, "host.sock");
  const abstractName = `skein-escapes-${process.pid}`;
  const udp = createSocket("udp4").on("message", () => reached.push("udp"));
  udp.bind(0, "127.0.0.1");
  await once(udp, "listening");
  servers = [tcp, await listening(socketPath, "unix"), await listening(`\0${abstractName}`, "abstract"), udp];
  host = {
    folder,
    tcpPort: (tcp.address() as AddressInfo).port,
    udpPort: udp.address().port,
    socketPath,
    abstractName,
    victim,
  };
});

afterAll(() => {
  process.env = environment;
  for (const server of servers ?? []) server.close();
  host?.victim.kill("SIGKILL");
  if (host) rmSync(host.folder, { recursive: true });
});

async function listening(address: number | string, name: string): Promise<Server> {
  const server = createServer((connection) => {
    reached.push(name);
    connection.on("error", () => {}).end(SECRET);
  });
  if (typeof address === "number") server.listen(address, "127.0.0.1");
  else server.listen(address);
  await once(server, "listening");
  return server;
}

interface Attempt {
  name: string;
  /** A Python expression, or a whole program; both see the tools of attack.py and `host`. */
  python?: string;
  /** Or a command. */
  shell?: string;
  /** More of the input. */
  input?: Record<string, Json>;
  /** What Python's value, or what the command prints, has to be or, as JSON or text, look like. */
  comesTo?: Json | RegExp;
  /** Or the code of the error it fails with. */
  failsWith?: string;
}

const MISSING = "ENOENT";
const READ_ONLY = "EROFS";
const REFUSED = "EPERM";

const attempts: Attempt[] = [
  // The host's files
  { name: "read /etc/shadow", python: "attempt(read, '/etc/shadow')", comesTo: MISSING },
  { name: "read the host's users", python: "read('/etc/passwd')", comesTo: /^sandbox:x:1000:1000::\/tmp:\/bin\/sh\n$/ },
  {
    name: "read a readable file by its path",
    python: "attempt(read, host['folder'] + '/secret.txt')",
    comesTo: MISSING,
  },
  {
    name: "list folders of people",
    python: "[attempt(os.listdir, p) for p in ('/root', '/home')]",
    comesTo: [MISSING, MISSING],
  },
  { name: "read Skein's own folder", python: "attempt(os.listdir, host['root'])", comesTo: MISSING },
  {
    name: "find more than programs in the root",
    python: "sorted(set(os.listdir('/')) - {'bin', 'sbin', 'lib', 'lib32', 'lib64', 'usr'})",
    comesTo: ["dev", "etc", "proc", "skein", "tmp"],
  },
  {
    name: "find more in /etc",
    python: "sorted(set(os.listdir('/etc')) - {'alternatives', 'ld.so.cache'})",
    comesTo: ["group", "passwd"],
  },
  { name: "climb out by dots", python: "attempt(read, '../' * 40 + 'etc/shadow')", comesTo: MISSING },
  {
    name: "climb out by /proc/self/root",
    python: "attempt(read, '/proc/self/root/../../etc/shadow')",
    comesTo: MISSING,
  },
  { name: "climb out by the first process", python: "attempt(read, '/proc/1/root/etc/shadow')", comesTo: MISSING },
  {
    name: "climb out by a link",
    python: "[os.symlink('/etc/shadow', 'x'), attempt(read, 'x')]",
    comesTo: [null, MISSING],
  },
  {
    name: "climb out by a link to the host's folder",
    python: "[os.symlink(host['folder'], 'x'), attempt(os.listdir, 'x')]",
    comesTo: [null, MISSING],
  },
  {
    name: "keep a program of the host by a hard link",
    python: "attempt(os.link, '/usr/bin/env', 'env')",
    comesTo: "EXDEV",
  },
  { name: "open a file by its handle", python: "call('open_by_handle_at', 3, 0, 0)", comesTo: REFUSED },
  {
    name: "read the memory of the machine",
    python: "[attempt(read, '/dev/' + d) for d in ('mem', 'kmem', 'port')]",
    comesTo: [MISSING, MISSING, MISSING],
  },
  { name: "read the kernel's memory", python: "attempt(read, '/proc/kcore')", comesTo: /^(EACCES|EPERM|ENOENT|)$/ },
  {
    name: "find a disk",
    python: "sorted(set(os.listdir('/dev')) - {'core', 'fd', 'stdin', 'stdout', 'stderr'})",
    comesTo: ["full", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"],
  },
  { name: "find the kernel's devices", python: "attempt(os.listdir, '/sys')", comesTo: MISSING },
  { name: "find control groups", shell: "ls /sys/fs/cgroup; grep -c cgroup /proc/self/mounts; true", comesTo: /^0\n$/ },

  // Secrets of the executor
  {
    name: "read the environment of every process",
    shell: "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | cut -d= -f1 | sort -u",
    comesTo: /^(HOME|LANG|PATH|PWD|TMPDIR|\n)*$/,
  },
  {
    name: "read all command lines",
    shell: "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c [v]itest; true",
    comesTo: /^0\n$/,
  },
  { name: "see processes of the host", python: "len(processes())", comesTo: 2 },
  {
    name: "read the memory of the first process",
    python: "attempt(read, '/proc/1/mem')",
    comesTo: /^(EACCES|EPERM|EIO)$/,
  },
  {
    name: "read what the first process holds open",
    python: "[attempt(read, f'/proc/1/fd/{fd}') for fd in os.listdir('/proc/1/fd') if fd not in '012']",
    comesTo: /^\[("(ENXIO|EACCES|EPERM|EINVAL)",?)*\]$/,
  },
  {
    name: "find open files that came along",
    python:
      "[fd for fd in os.listdir('/proc/self/fd') if int(fd) > 3 and attempt(os.readlink, f'/proc/self/fd/{fd}') not in ('/dev/null', 'ENOENT')]",
    comesTo: [],
  },

  // Writing
  {
    name: "write to the root and the programs",
    python: "[attempt(write, p) for p in ('/x', '/usr/bin/env', '/usr/x', '/etc/passwd', '/dev/x', '/skein/start.py')]",
    comesTo: Array(6).fill(READ_ONLY),
  },
  {
    name: "change the mode of a program",
    python: "attempt(os.chmod, '/usr/bin/env', 0o4777)",
    comesTo: /^(EROFS|EPERM)$/,
  },
  { name: "write beside the host's secret", python: `attempt(write, host['folder'] + '/${MARKER}')`, comesTo: MISSING },
  { name: "mount the programs writable", python: "call('mount', b'none', b'/usr', b'', 0x1020, 0)", comesTo: REFUSED },
  {
    name: "mount the root writable",
    shell: "mount -o remount,rw / 2>&1; touch /x 2>&1; true",
    comesTo: /Read-only file system/,
  },
  { name: "mount over the programs", python: "call('mount', b'/tmp', b'/usr', b'', 0x1000, 0)", comesTo: REFUSED },
  {
    name: "mount by the newer calls",
    python: "[call('fsopen', b'tmpfs', 0), call('open_tree', -100, b'/', 1)]",
    comesTo: [REFUSED, REFUSED],
  },
  {
    name: "unmount what covers the host",
    python: "[call('umount2', p, 2) for p in (b'/tmp', b'/proc', b'/')]",
    comesTo: [REFUSED, REFUSED, REFUSED],
  },
  {
    name: "make device files",
    python: "[attempt(os.mknod, f'd{m}', m, os.makedev(8, 0)) for m in (0o60600, 0o20600)]",
    comesTo: [REFUSED, REFUSED],
  },
  {
    name: "write to /proc/sys",
    python:
      "[attempt(write, '/proc/sys/' + p) for p in ('kernel/core_pattern', 'kernel/hostname', 'vm/overcommit_memory', 'kernel/modprobe', 'user/max_user_namespaces')]",
    comesTo: /^\[("(EACCES|EROFS|EPERM|ENOENT)",?){5}\]$/,
  },
  {
    name: "press the magic keys",
    python: "attempt(write, '/proc/sysrq-trigger', 'b')",
    comesTo: /^(EACCES|EROFS|EPERM|EIO|ENOENT)$/,
  },

  // Another root, other namespaces
  { name: "chroot", python: "attempt(os.chroot, '/tmp')", comesTo: REFUSED },
  {
    name: "chroot, and climb out of it",
    shell: "mkdir -p x/y; /usr/sbin/chroot x sh -c 'cd ../../..; ls' 2>&1; true",
    comesTo: /Operation not permitted/,
  },
  { name: "pivot_root", python: "call('pivot_root', b'/tmp', b'/tmp')", comesTo: REFUSED },
  { name: "a user namespace by unshare", python: "call('unshare', 0x10000000)", comesTo: REFUSED },
  {
    name: "every namespace by unshare",
    python: "[call('unshare', 1 << bit) for bit in (17, 25, 26, 27, 28, 29, 30)]",
    comesTo: Array(7).fill(REFUSED),
  },
  { name: "a user namespace by clone", python: "call('clone', 0x10000011, 0, 0, 0, 0)", comesTo: REFUSED },
  { name: "a user namespace by clone3", python: "call('clone3', 0, 0)", comesTo: "ENOSYS" },
  {
    name: "root in a namespace by the command",
    shell: "unshare --user --map-root-user id 2>&1; true",
    comesTo: /Operation not permitted/,
  },
  {
    name: "a sandbox in the sandbox",
    shell: "bwrap --ro-bind / / id 2>&1; true",
    comesTo: /(Operation not permitted|No permissions)/,
  },
  {
    name: "enter the namespaces of the first process",
    python: "[call('setns', os.open(f'/proc/self/ns/{n}', 0), 0) for n in ('user', 'mnt', 'net', 'pid')]",
    comesTo: Array(4).fill(REFUSED),
  },
  {
    name: "enter them by the command",
    shell: "nsenter --target 1 --all id 2>&1; true",
    comesTo: /(Operation not permitted|Permission denied)/,
  },

  // More rights
  {
    name: "become root",
    python: "[attempt(os.setuid, 0), attempt(os.setgid, 0), attempt(os.setgroups, [0])]",
    comesTo: /^\["(EINVAL|EPERM)","(EINVAL|EPERM)","(EINVAL|EPERM)"\]$/,
  },
  {
    name: "become root by setuid programs",
    shell:
      "for p in su mount passwd newgrp; do (\"$p\" </dev/null; id -u) 2>&1 | grep -x 0; done; awk '/NoNewPrivs|CapEff/ {print $2}' /proc/self/status",
    comesTo: /^0000000000000000\n1\n$/,
  },
  { name: "get a capability", python: "[libc.prctl(47, 2, 21, 0, 0), libc.prctl(24, 21, 0, 0, 0)]", comesTo: [-1, -1] },
  {
    name: "forget that there are no new rights",
    python: "[libc.prctl(38, 0, 0, 0, 0), libc.prctl(39, 0, 0, 0, 0)]",
    comesTo: [-1, 1],
  },
  {
    name: "raise its own limits",
    python:
      "import resource\ndef main(_):\n  return [attempt(resource.setrlimit, getattr(resource, 'RLIMIT_' + n), (10**12, 10**12)) for n in ('NPROC', 'AS', 'FSIZE', 'NOFILE', 'CORE')]",
    comesTo: /^\[("ValueError: not allowed to raise maximum limit",?){5}\]$/,
  },
  {
    name: "come before the executor",
    python:
      "[attempt(os.nice, -20), attempt(os.sched_setscheduler, 0, 1, os.sched_param(99)), attempt(write, '/proc/self/oom_score_adj', '-1000')]",
    comesTo: /^\["(EPERM|EACCES)","EPERM","EACCES"\]$/,
  },

  // The network
  { name: "reach the host by loopback", python: "attempt(connect, host['tcpPort'])", comesTo: "ECONNREFUSED" },
  {
    name: "reach it by UDP",
    python: "attempt(lambda: socket.socket(2, 2).sendto(b'x', ('127.0.0.1', host['udpPort'])))",
    comesTo: /^(1|ENETUNREACH)$/,
  },
  {
    name: "reach it by IPv6",
    python: "attempt(lambda: socket.create_connection(('::1', host['tcpPort']), 1))",
    comesTo: /^(ECONNREFUSED|ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT)$/,
  },
  {
    name: "read the cloud's metadata",
    python: "attempt(lambda: socket.create_connection(('169.254.169.254', 80), 1))",
    comesTo: "ENETUNREACH",
  },
  {
    name: "reach the internet",
    python: "attempt(lambda: socket.create_connection(('1.1.1.1', 443), 1))",
    comesTo: "ENETUNREACH",
  },
  {
    name: "resolve a name",
    python: "attempt(lambda: socket.gethostbyname('example.org'))",
    comesTo: /resolution|not known/,
  },
  {
    name: "ask a name server",
    python: "attempt(lambda: socket.socket(2, 2).sendto(b'x', ('8.8.8.8', 53)))",
    comesTo: "ENETUNREACH",
  },
  {
    name: "find a network device",
    python:
      "[name for _, name in socket.if_nameindex()] if attempt(socket.if_nameindex) not in ('EAFNOSUPPORT', 'EPERM') else [l.split(':')[0].strip() for l in read('/proc/net/dev').splitlines()[2:]]",
    comesTo: ["lo"],
  },
  { name: "reach a Unix socket of the host", python: "attempt(unix, host['socketPath'])", comesTo: MISSING },
  {
    name: "reach an abstract Unix socket of the host",
    python: "attempt(unix, '\\0' + host['abstractName'])",
    comesTo: "ECONNREFUSED",
  },
  {
    name: "reach Docker and the system bus",
    python:
      "[attempt(unix, p) for p in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket')]",
    comesTo: Array(4).fill(MISSING),
  },
  {
    name: "reach the host of a virtual machine",
    python: "attempt(lambda: socket.socket(40, 1))",
    comesTo: "EAFNOSUPPORT",
  },
  {
    name: "talk to the kernel by sockets",
    python: "[attempt(lambda: socket.socket(f, 3)) for f in (16, 17, 38, 29, 44)]",
    comesTo: Array(5).fill("EAFNOSUPPORT"),
  },
  { name: "send raw packets", python: "attempt(lambda: socket.socket(2, 3, 1))", comesTo: REFUSED },

  // Other processes
  {
    name: "kill processes of the host",
    python: "[attempt(os.kill, pid, 9) for pid in host['pids']]",
    comesTo: ["ESRCH", "ESRCH", "ESRCH"],
  },
  { name: "kill everything", shell: "kill -9 -1; echo survived", comesTo: "survived\n" },
  { name: "kill the first process", python: "[attempt(os.kill, 1, 9), processes()[0]]", comesTo: [null, 1] },
  {
    name: "trace a process",
    python: "[call('ptrace', 16, 1, 0, 0), call('ptrace', 0, 0, 0, 0)]",
    comesTo: [REFUSED, REFUSED],
  },
  { name: "read the memory of a process", python: "call('process_vm_readv', 1, 0, 0, 0, 0, 0)", comesTo: REFUSED },
  { name: "take an open file of a process", python: "call('pidfd_getfd', os.pidfd_open(1), 0, 0)", comesTo: REFUSED },
  {
    name: "type into a terminal",
    python: "import fcntl\ndef main(_):\n  return [attempt(fcntl.ioctl, 0, 0x5412, b'x'), attempt(open, '/dev/tty')]",
    comesTo: ["ENOTTY", "ENXIO"],
  },

  // Parts of the kernel
  {
    name: "read and fill keyrings",
    python:
      "[call('keyctl', 0, -4, 0), call('add_key', b'user', b'x', b'y', 1, -4), call('request_key', b'user', b'x', 0, 0)]",
    comesTo: Array(3).fill(REFUSED),
  },
  {
    name: "load programs into the kernel",
    python: "[call(n, 0, 0, 0, 0, 0) for n in ('bpf', 'init_module', 'kexec_load', 'perf_event_open')]",
    comesTo: Array(4).fill(REFUSED),
  },
  {
    name: "use the calls that attacks begin with",
    python: "[call('userfaultfd', 1), call('io_uring_setup', 1, 0), call(9999)]",
    comesTo: [REFUSED, REFUSED, "ENOSYS"],
  },
  {
    name: "set the clock and the name, stop the machine",
    python:
      "[call('settimeofday', 0, 0), call('sethostname', b'x', 1), call('reboot', 0, 0, 0, 0), call('swapon', b'/tmp/x', 0), call('quotactl', 0, 0, 0, 0), call('syslog', 3, 0, 0)]",
    comesTo: Array(6).fill(REFUSED),
  },
  {
    name: "use memory that no process has",
    python: "[call('memfd_create', b'x', 0), call('shmget', 0, 4096, 0o1600), call('msgget', 0, 0o1600)]",
    comesTo: Array(3).fill(REFUSED),
  },
  {
    // The filter of a container around the sandbox may end the process instead.
    name: "use the numbers of another ABI",
    python:
      "def main(_):\n  pid = os.fork()\n  if pid == 0:\n    os._exit(0 if call(0x40000000 + 39) == 'ENOSYS' else 1)\n  status = os.waitpid(pid, 0)[1]\n  return os.waitstatus_to_exitcode(status) in (0, -31)",
    comesTo: true,
  },
  {
    name: "use the calls of 32-bit programs",
    python:
      "import mmap\ndef main(_):\n  page = mmap.mmap(-1, 4096, prot=7)\n  page.write(bytes.fromhex('b814000000cd80c3') if ARCHITECTURE == 0 else b'')\n  f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n  return f() if ARCHITECTURE == 0 else os.kill(os.getpid(), 31)",
    failsWith: "CODE_FAILED",
  },

  // Too much of everything
  {
    name: "a fork bomb",
    shell: "bash -c ':(){ :|:& };:' 2>/dev/null; exec sleep 60", // exec: no process is left to fork for it
    failsWith: "SANDBOX_TIMEOUT",
    input: { timeout_ms: 1_000 },
  },
  {
    name: "many processes",
    python:
      "import time\ndef main(_):\n  n = 0\n  while n < 1000:\n    try:\n      if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)\n    except BlockingIOError:\n      return n < 64\n    n += 1\n  return n",
    comesTo: true,
  },
  {
    name: "many threads",
    python:
      "import threading, time\ndef main(_):\n  threading.stack_size(65536)\n  for n in range(1000):\n    try:\n      threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n    except RuntimeError:\n      return n < 64\n  return n",
    comesTo: true,
  },
  {
    name: "a memory bomb",
    python: "def main(_):\n  all = []\n  while True:\n    all.append(bytearray(1 << 20))",
    failsWith: "SANDBOX_MEMORY",
    input: { memory_mb: 64 },
  },
  {
    name: "a memory bomb of many processes",
    python:
      "import time\ndef main(_):\n  for _ in range(20):\n    if os.fork() == 0:\n      keep = bytearray(os.urandom(1 << 20) * 16)\n      time.sleep(60)\n  time.sleep(60)",
    failsWith: "SANDBOX_MEMORY",
    input: { memory_mb: 64 },
  },
  {
    name: "a memory bomb of the shell",
    shell: "tail /dev/zero",
    failsWith: "COMMAND_FAILED",
    input: { memory_mb: 64 },
  },
  {
    name: "fill the disk",
    shell: "for i in $(seq 20); do head -c 8M /dev/zero >f$i || break; done 2>&1; du -sm . | cut -f1",
    comesTo: /No space left on device\n6\d\n$/,
  },
  { name: "one huge file", shell: "head -c 80M /dev/zero >f; echo $?", comesTo: /^[1-9]\d*\n$/ },
  {
    name: "fill the shared memory",
    shell: "head -c 60M /dev/zero 2>&1 >/dev/shm/f; du -sm /dev/shm | cut -f1",
    comesTo: /No space left on device\n1[56]\n$/,
  },
  {
    name: "more files than the memory holds",
    python: "def main(_):\n  n = 0\n  while True:\n    n += 1\n    os.close(os.open(f'f{n}', os.O_CREAT))",
    failsWith: "SANDBOX_MEMORY",
    input: { memory_mb: 64 },
  },
  {
    name: "many open files",
    python:
      "import itertools\ndef main(_):\n  keep = []\n  for n in itertools.count():\n    try:\n      keep.append(open('/dev/null'))\n    except OSError as error:\n      return [n < 128, errno.errorcode[error.errno]]",
    comesTo: [true, "EMFILE"],
  },
  {
    name: "a sparse file larger than the limit",
    python: "attempt(lambda: os.truncate(os.open('f', os.O_CREAT | os.O_RDWR), 1 << 40))",
    comesTo: "EFBIG",
  },
  { name: "endless output", shell: "yes", failsWith: "SANDBOX_OUTPUT" },
  { name: "endless errors", shell: "yes >&2", failsWith: "SANDBOX_OUTPUT" },
  {
    name: "an endless answer",
    python: "def main(_):\n  while True:\n    os.write(3, b'x' * 65536)",
    failsWith: "SANDBOX_OUTPUT",
  },
  { name: "sleep for ever", shell: "sleep infinity", failsWith: "SANDBOX_TIMEOUT", input: { timeout_ms: 300 } },
  {
    name: "an endless loop",
    python: "def main(_):\n  while True: pass",
    failsWith: "SANDBOX_TIMEOUT",
    input: { timeout_ms: 500 },
  },
  {
    name: "ignore every signal",
    shell: "trap '' TERM INT HUP QUIT; while :; do sleep 60; done",
    failsWith: "SANDBOX_TIMEOUT",
    input: { timeout_ms: 300 },
  },
  {
    name: "a daemon that outlives its task",
    shell:
      "setsid sh -c 'sleep 43210.5 & sleep 43210.5' >/dev/null 2>&1 & (setsid setsid sleep 43210.5 &) ; sleep 0.1; echo started",
    comesTo: "started\n",
  },
  { name: "a daemon that holds on to the output", shell: "setsid sleep 43210.5 & echo started", comesTo: "started\n" },
  {
    name: "make the host keep a core dump",
    python: "import resource\ndef main(_):\n  print(resource.getrlimit(resource.RLIMIT_CORE))\n  os.abort()",
    failsWith: "CODE_FAILED",
  },

  // What comes out
  { name: "U+0000 in the output", shell: "printf 'a\\000b'", comesTo: "a\uFFFDb" },
  { name: "bytes that are no text", shell: "printf '\\377\\376x'", comesTo: "\uFFFD\uFFFDx" },
  {
    name: "sequences for a terminal in an error",
    shell: "printf '\\033]0;title\\007\\033[2J' >&2; exit 1",
    failsWith: "COMMAND_FAILED",
  },
  { name: "the same from Python", python: "raise ValueError('\\x1b[2J\\x00')", failsWith: "CODE_FAILED" },
  { name: "lone surrogates", python: "'\\ud800'", failsWith: "OUTPUT_UNSTORABLE" },
  {
    name: "an answer that is none",
    python: "import os\ndef main(_):\n  os.write(3, b'[]')\n  os._exit(0)",
    failsWith: "CODE_FAILED",
  },
  {
    name: "an error code of its own",
    python: 'import os\ndef main(_):\n  os.write(3, b\'{"code": "LEASE_LOST", "message": "x"}\')\n  os._exit(0)',
    failsWith: "CODE_FAILED",
  },
  {
    name: "a polluted prototype",
    python: "{'__proto__': {'polluted': True}}",
    failsWith: "OUTPUT_UNSTORABLE",
  },
  {
    name: "arguments for the sandbox itself",
    input: { args: ["--bind", "/", "/", "cat", "/etc/shadow"], allow_failure: true },
    comesTo: "",
  },
];

const PROLOGUE = `import os, socket
from attack import *
connect = lambda port: socket.create_connection(("127.0.0.1", port), 1)
def unix(path):
  s = socket.socket(1); s.settimeout(1); s.connect(path); return s.recv(100).decode()
`;

function inputOf({ python, shell, input }: Attempt): [Executor, Json] {
  if (python === undefined) return [executors.shell, { ...(shell !== undefined && { command: shell }), ...input }];
  const { victim, ...rest } = host;
  const target = JSON.stringify({ ...rest, root, pids: [process.pid, process.ppid, victim.pid] });
  const program = /^(def main\(|raise )/m.test(python) ? python : `def main(_):\n  return ${python}`;
  const code = `${PROLOGUE}import json\nhost = json.loads(${JSON.stringify(target)})\n${program}`;
  return [executors.python, { code, files: { "attack.py": attackFile }, ...input }];
}

describe.skipIf(!inject("canSandbox"))("nothing escapes", () => {
  it.each(attempts)("$name", async (attempt) => {
    const [executor, input] = inputOf(attempt);
    const outcome = await perform(executor, input).then(
      (value) => ({ value: value as { value?: Json; stdout: string; stderr: string }, error: undefined }),
      (error: Error & { code?: string }) => ({ value: undefined, error }),
    );
    expect(JSON.stringify([outcome.value, outcome.error?.message])).not.toContain(SECRET);
    if (attempt.failsWith !== undefined) {
      expect(outcome.error ?? outcome.value).toMatchObject({ code: attempt.failsWith });
      expect(outcome.error?.message).not.toMatch(/\p{Cc}/u);
    } else {
      expect(outcome.error).toBeUndefined();
      const came = (attempt.python === undefined ? outcome.value?.stdout : outcome.value?.value) ?? null;
      if (attempt.comesTo instanceof RegExp) {
        expect(typeof came === "string" ? came : JSON.stringify(came)).toMatch(attempt.comesTo);
      } else {
        expect(came).toEqual(attempt.comesTo);
      }
    }
    expect(reached).toEqual([]);
    expect(host.victim.exitCode ?? host.victim.signalCode).toBeNull();
    expect(readdirSync(host.folder).sort()).toEqual(["host.sock", "secret.txt"]);
    expect(processesWith("43210.5")).toEqual([]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(await perform(executors.shell, { command: "echo alive" })).toMatchObject({ stdout: "alive\n" });
  });

  it("has at least fifty attempts, all different", () => {
    expect(new Set(attempts.map(({ name }) => name)).size).toBe(attempts.length);
    expect(attempts.length).toBeGreaterThanOrEqual(50);
  });

  it("the traps would have told", async () => {
    const answer = await new Promise((resolve) => {
      const client = spawn("/usr/bin/python3", [
        "-c",
        `import socket; print(socket.create_connection(('127.0.0.1', ${host.tcpPort})).recv(100))`,
      ]);
      client.stdout.once("data", (data) => resolve(String(data)));
    });
    expect(answer).toContain(SECRET);
    expect(reached.splice(0)).toEqual(["tcp"]);
  });

  it.each([
    "../../etc/passwd",
    "a/../../b",
    "/etc/cron.d/x",
    "./x",
    "a//b",
    "a/",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "~/x",
    "a\\b",
    "ü",
    "x".repeat(201),
  ])("no file is brought along as %j", (name) => {
    for (const input of [
      { command: "true", files: { [name]: "x" } },
      { code: "1", files: { [name]: "x" } },
    ]) {
      const executor = "code" in input ? executors.python : executors.shell;
      expect(() => executor.parseInput(input as Json)).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
    }
  });

  it("no files in each other's place, and not too many", () => {
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`f${i}`, ""]));
    for (const files of [{ a: "", "a/b": "" }, { "a/b/c": "", "a/b": "" }, many]) {
      expect(() => executors.shell.parseInput({ command: "true", files })).toThrow(
        expect.objectContaining({ code: "INPUT_INVALID" }),
      );
    }
  });
});
