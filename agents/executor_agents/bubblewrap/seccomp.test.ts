import { describe, expect, it } from "vitest";
import profile from "../../../docker/sandbox-seccomp.json" with { type: "json" };
import { refusedNames, seccompFilter } from "./seccomp.ts";

const ALLOWED = 0x7fff_0000;
const KILLED = 0x8000_0000;
const error = (number: number) => 0x0005_0000 | number;
const EPERM = error(1);
const ENOSYS = error(38);
const EAFNOSUPPORT = error(97);
const AUDIT = { x64: 0xc000_003e, arm64: 0xc000_00b7 };

/** What the kernel would say of a call, with its first argument. */
function verdict(arch: "x64" | "arm64", call: number, argument = 0, audit = AUDIT[arch]): number {
  const program = seccompFilter(arch);
  const data: Record<number, number> = { 0: call, 4: audit, 16: argument };
  let loaded = 0;
  for (let at = 0; at < program.length; at += 8) {
    const code = program.readUInt16LE(at);
    const k = program.readUInt32LE(at + 4);
    const holds = { 21: loaded === k, 37: loaded > k, 53: loaded >= k, 69: (loaded & k) !== 0 }[code];
    if (code === 0x06) return k;
    if (code === 0x20) loaded = data[k]!;
    else if (holds === undefined) throw new Error(`unknown instruction ${code}`);
    else at += 8 * program.readUInt8(at + (holds ? 2 : 3));
  }
  throw new Error("the program ends without a verdict");
}

describe("the filter", () => {
  it.each<[string, "x64" | "arm64", number, number | undefined, number]>([
    ["read", "x64", 0, 0, ALLOWED],
    ["read", "arm64", 63, 0, ALLOWED],
    ["execve", "x64", 59, 0, ALLOWED],
    ["execve", "arm64", 221, 0, ALLOWED],
    ["prlimit64", "x64", 302, 0, ALLOWED],
    ["statx", "arm64", 291, 0, ALLOWED],
    ["mount", "x64", 165, 0, EPERM],
    ["mount", "arm64", 40, 0, EPERM],
    ["unshare", "x64", 272, 0x1000_0000, EPERM],
    ["setns", "arm64", 268, 0, EPERM],
    ["ptrace", "x64", 101, 0, EPERM],
    ["ptrace", "arm64", 117, 0, EPERM],
    ["bpf", "arm64", 280, 0, EPERM],
    ["keyctl", "x64", 250, 0, EPERM],
    ["memfd_create", "arm64", 279, 0, EPERM],
    ["io_uring_setup", "x64", 425, 0, EPERM],
    ["iopl, whose number is setns's neighbour on arm64", "x64", 172, 0, EPERM],
    ["getppid, which has iopl's number", "arm64", 172, 0, ALLOWED],
    ["clone of a process", "x64", 56, 0x11, ALLOWED],
    ["clone of a thread", "arm64", 220, 0x003d_0f00, ALLOWED],
    ["clone3", "x64", 435, 0, ENOSYS],
    ["a Unix socket", "x64", 41, 1, ALLOWED],
    ["an IPv4 socket", "arm64", 198, 2, ALLOWED],
    ["an IPv6 socket", "x64", 41, 10, ALLOWED],
    ["a netlink socket", "x64", 41, 16, EAFNOSUPPORT],
    ["a vsock socket", "arm64", 198, 40, EAFNOSUPPORT],
    ["a family of 2^31 and more", "x64", 41, 0xffff_ffff, EAFNOSUPPORT],
    ["the last known call", "x64", 462, 0, ALLOWED],
    ["the first unknown call", "x64", 463, 0, ENOSYS],
    ["the first unknown call", "arm64", 463, 0, ENOSYS],
    ["a call of the x32 ABI", "x64", 0x4000_0000, 0, ENOSYS],
    ["a call of no ABI", "x64", 0xffff_ffff, 0, ENOSYS],
  ])("%s on %s", (_, arch, call, argument, expected) => {
    expect(verdict(arch, call, argument)).toBe(expected);
  });

  it.each([0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000])(
    "refuses a namespace by clone, flag %i",
    (flag) => {
      expect(verdict("x64", 56, flag | 0x11)).toBe(EPERM);
      expect(verdict("arm64", 220, flag | 0x11)).toBe(EPERM);
    },
  );

  it("kills what calls as another architecture would", () => {
    expect(verdict("x64", 20, 0, 0x4000_0003)).toBe(KILLED);
    expect(verdict("arm64", 20, 0, 0x4000_0028)).toBe(KILLED);
    expect(verdict("x64", 0, 0, AUDIT.arm64)).toBe(KILLED);
  });
});

describe("docker/sandbox-seccomp.json", () => {
  it("refuses what the filter does, all but the calls that a sandbox is built with", () => {
    const names = profile.syscalls.flatMap(({ action, names }) => (action === "SCMP_ACT_ERRNO" ? names : []));
    expect(names.sort()).toEqual([...refusedNames].sort());
    for (const call of ["clone", "mount", "pivot_root", "sethostname", "umount2", "unshare"])
      expect(names).not.toContain(call);
  });
});
