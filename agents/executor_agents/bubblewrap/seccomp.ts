/**
 * The system calls that code in the bubblewrap sandbox may not make, as a seccomp filter. Namespaces already keep it from
 * the host; the filter keeps it from the parts of the kernel where ways out have been found, and from memory that no
 * other limit counts. A list of what is refused, because what interpreters need is too long to list.
 */

/** Numbers of system calls, from the kernel's own tables. Undefined: the architecture never had the call. */
type Numbers = [x64: number, arm64: number | undefined];

/** What a sandbox is built with: with these, code could build another one, where it would be root. */
const sandboxCalls: Record<string, Numbers> = {
  mount: [165, 40],
  pivot_root: [155, 41],
  sethostname: [170, 161],
  umount2: [166, 39],
  unshare: [272, 97],
};

const refusedCalls: Record<string, Numbers> = {
  // Namespaces and mounts by other names.
  chroot: [161, 51],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  open_tree: [428, 428],
  setns: [308, 268],
  // Other processes and open files.
  kcmp: [312, 272],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  pidfd_getfd: [438, 438],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  // Large or privileged parts of the kernel.
  acct: [163, 89],
  adjtimex: [159, 171],
  bpf: [321, 280],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  fanotify_init: [300, 262],
  finit_module: [313, 273],
  init_module: [175, 105],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  ioperm: [173, undefined],
  iopl: [172, undefined],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  lookup_dcookie: [212, 18],
  modify_ldt: [154, undefined],
  perf_event_open: [298, 241],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  setdomainname: [171, 162],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  userfaultfd: [323, 282],
  vhangup: [153, 58],
  // The kernel's keyrings belong to the user, not to a namespace.
  add_key: [248, 217],
  keyctl: [250, 219],
  request_key: [249, 218],
  // Memory that belongs to no process.
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  msgget: [68, 186],
  semget: [64, 190],
  shmget: [29, 194],
};

const CLONE: Numbers = [56, 220];
const CLONE3: Numbers = [435, 435];
const SOCKET: Numbers = [41, 198];
/** Later calls are as if the kernel did not know them: nobody has judged them. 462 is mseal, of Linux 6.10. */
const LAST_KNOWN_CALL = 462;
/** On x64, numbers from here on are the calls of another ABI. */
const X32_CALLS = 0x4000_0000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NAMESPACE_FLAGS = 0x7e02_0000;
/** AF_UNIX, AF_INET, AF_INET6. Others lead past the network namespace (AF_VSOCK: to the host of a virtual machine). */
const SOCKET_FAMILIES = [1, 2, 10];

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const architectures = {
  x64: { index: 0, audit: 0xc000_003e },
  arm64: { index: 1, audit: 0xc000_00b7 },
} as const;

type Architecture = keyof typeof architectures;

export function isSupported(arch: string): arch is Architecture {
  return arch in architectures;
}

/** Names for the profile of a container that the sandbox is to work in (docker/sandbox-seccomp.json). */
export const refusedNames = Object.keys(refusedCalls);

/** One instruction of classic BPF: code, jump if true, jump if false, constant. */
type Instruction = [code: number, jt: number, jf: number, k: number];

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_OR_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

/** Offsets in `struct seccomp_data`; of the first argument, the lower half. */
const CALL = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

const ALLOW = 0x7fff_0000;
const KILL_PROCESS = 0x8000_0000;
const ERROR = 0x0005_0000;

const load = (offset: number): Instruction => [LOAD, 0, 0, offset];
const give = (result: number): Instruction => [RETURN, 0, 0, result];
/** Goes on with what follows only if the test holds, else after the `count` instructions that follow. */
const only = (code: number, k: number, count: number): Instruction => [code, 0, count, k];

/** The program in the form that `bwrap --seccomp` reads. */
export function seccompFilter(arch: Architecture): Buffer {
  const { index, audit } = architectures[arch];
  const number = (numbers: Numbers) => numbers[index];
  const refused = Object.values({ ...sandboxCalls, ...refusedCalls })
    .map(number)
    .filter((call) => call !== undefined);
  return assemble([
    load(ARCHITECTURE),
    [JUMP_EQUAL, 1, 0, audit],
    give(KILL_PROCESS),
    load(CALL),
    ...(arch === "x64" ? [only(JUMP_GREATER_OR_EQUAL, X32_CALLS, 1), give(ERROR | ENOSYS)] : []),
    only(JUMP_GREATER, LAST_KNOWN_CALL, 1),
    give(ERROR | ENOSYS),
    // Its flags lie in memory, where a filter cannot look; the C library then falls back to clone.
    only(JUMP_EQUAL, number(CLONE3)!, 1),
    give(ERROR | ENOSYS),
    ...refused.flatMap((call) => [only(JUMP_EQUAL, call, 1), give(ERROR | EPERM)]),
    only(JUMP_EQUAL, number(CLONE)!, 4),
    load(FIRST_ARGUMENT),
    only(JUMP_ANY_BIT, NAMESPACE_FLAGS, 1),
    give(ERROR | EPERM),
    give(ALLOW),
    only(JUMP_EQUAL, number(SOCKET)!, 2 + 2 * SOCKET_FAMILIES.length),
    load(FIRST_ARGUMENT),
    ...SOCKET_FAMILIES.flatMap((family) => [only(JUMP_EQUAL, family, 1), give(ALLOW)]),
    give(ERROR | EAFNOSUPPORT),
    give(ALLOW),
  ]);
}

const INSTRUCTION_BYTES = 8;

function assemble(instructions: Instruction[]): Buffer {
  const program = Buffer.alloc(instructions.length * INSTRUCTION_BYTES);
  for (const [i, [code, jt, jf, k]] of instructions.entries()) {
    const at = i * INSTRUCTION_BYTES;
    program.writeUInt16LE(code, at);
    program.writeUInt8(jt, at + 2);
    program.writeUInt8(jf, at + 3);
    program.writeUInt32LE(k, at + 4);
  }
  return program;
}
