"""Tools for the attempts of agents/executor_agents/bubblewrap/escapes.sandbox.test.ts; they lie beside the attempt's code, inside the sandbox."""

import ctypes
import errno
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARCHITECTURE = {"x86_64": 0, "aarch64": 1}[platform.machine()]
NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "sethostname": (170, 161),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


def call(name, *arguments):
    """Makes a system call: the name of its error, or its result."""
    number = NUMBERS[name][ARCHITECTURE] if isinstance(name, str) else name
    values = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *values)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else result


def attempt(function, *arguments):
    """The name of the error that the attempt ends with, or what it came to."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def read(path):
    with open(path, "rb") as file:
        return file.read(100_000).decode("utf-8", "replace")


def write(path, text="gone wild"):
    with open(path, "w") as file:
        return file.write(text)


def processes():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
