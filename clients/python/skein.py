"""
Skein in Python, executors and a client: one file, the standard library alone, Python 3.9 or newer. Copy it beside yours.

    import skein

    @skein.executor(capability="text.upper")
    def upper(ctx, input):
        return {"text": input["text"].upper()}

    if __name__ == "__main__":
        skein.main()

`README.md` beside this file shows how to write, run and test one; docs/executor-protocol.md is what is spoken here.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import http.client
import importlib
import importlib.util
import inspect
import itertools
import json
import logging
import math
import os
import pathlib
import queue
import random
import re
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Union

__all__ = [
    "Agent", "AgentInbox", "AgentMemory", "AgentState", "Cancelled", "Client", "Context", "NonRetryableError", "RetryAfterError", "SkeinError", "TaskError", "TaskLog",
    "TestContext", "Turn", "executor", "main", "participate", "perform", "run", "start",
]  # fmt: skip

log = logging.getLogger("skein")

# --- what the server accepts (docs/executor-protocol.md) --------------------------------------------------------------

MAX_WAIT_S = 30
MAX_BATCH = 1_000
MAX_JSON_DEPTH = 64
MAX_OUTPUT_BYTES = 8 * 1024 * 1024
# One report may have 16 MiB.
MAX_REPORT_BYTES = 15 * 1024 * 1024
MAX_LOG_LINES = 1_000
MAX_LOG_BYTES = 2 * 1024 * 1024
MAX_LOG_MESSAGE = 8_192
MAX_ERROR_MESSAGE = 4_096
MAX_ERROR_CODE = 128
# Progress notes travel with the heartbeats of all, in a body of 1 MiB.
MAX_PROGRESS_CHARS = 16_384
MAX_PROGRESS_OF_A_BEAT = 256 * 1024
# Memory entries, and messages, that one report brings.
MAX_ENTRIES = 100
MAX_MESSAGES = 100

# --- how we keep its time; shares are of a lease ----------------------------------------------------------------------

BEATS_PER_LEASE = 3
FIRST_BEAT_S = 1.0
# Until its first heartbeat a lease stands for less.
FIRST_LEASE_SHARE = 2 / 3
# From here on a lease counts as lost: the rest is for stopping, before somebody else begins.
SAFE_SHARE = 0.9
# Leases that are due soon go along with those that are due.
TOGETHER_SHARE = 1 / 6
BEAT_RETRY_SHARE = 1 / 30
MIN_BEAT_RETRY_S = 0.05
PRESENCE_S = 10.0
# After news, so that much news does not become many requests.
NEWS_GAP_S = 0.2
TICK_S = 0.1
ANSWER_WITHIN_S = 10.0
# So long a member of conversations waits for a server that is away.
PARTICIPATE_WITHIN_S = 60.0
# A reply is waited for this long at a time, so that whoever waits hears of a cancel.
ASK_WAIT_S = 2
MIN_ANSWER_S = 0.25
# Reports are repeated this long: a lease lives on for one after the last heartbeat, and an outage adds another.
PATIENCE_LEASES = 2
# After this many failures inside the server a report goes in halves, in case one item is to blame.
SPLIT_AFTER = 3
FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 2.0
LAST_REGISTER_PAUSE_S = 10.0
# Between tries to update a state that others write.
LAST_UPDATE_PAUSE_S = 0.5
RECOVER_AFTER_S = 1.0
# A server that answers "nothing" sooner than this does not wait for work: then we do.
SOON_S = 0.5
# A report that is about to go takes new work along; a claim lets it go first for this long.
HOLD_BACK_S = 0.05
RELEASE_WITHIN_S = 10.0
SETTLE_WITHIN_S = 5.0
FLUSH_WITHIN_S = 5.0
LEAVE_WITHIN_S = 2.0
HEED_WITHIN_S = 5.0
# Servers keep idle connections for longer.
IDLE_CONNECTION_S = 60.0

Json = Any


# --- errors -----------------------------------------------------------------------------------------------------------


class SkeinError(Exception):
    """Something about the server, the settings or a definition; `code` is stable, the message says what to do."""

    def __init__(self, code: str, message: str, transient: bool = False, retry_after: float = 0.0):
        super().__init__(message)
        self.code = code
        self.transient = transient
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"

    @property
    def forgotten(self) -> bool:
        """The server does not know this agent (any more): it has to register again."""
        return self.code in ("UNAUTHENTICATED", "AGENT_NOT_FOUND")


class TaskError(Exception):
    """A failure with a code that workflows and people can tell apart. The task's policy decides whether to retry."""

    def __init__(self, message: str, code: str = "HANDLER_FAILED"):
        super().__init__(message)
        self.code = code


class NonRetryableError(TaskError):
    """Trying again cannot help: the task fails at once."""


class RetryAfterError(TaskError):
    """Try again, but not before `seconds` have passed."""

    def __init__(self, message: str, seconds: float, code: str = "HANDLER_FAILED"):
        super().__init__(message, code)
        self.seconds = seconds


class Cancelled(TaskError):
    """Raised by `ctx.check()` and `ctx.sleep()`: nobody wants the outcome any more. Let it pass."""


# --- JSON that the server can store -----------------------------------------------------------------------------------


def _flaw(root: Json) -> Optional[str]:
    """What about a value cannot be sent or stored as it is, with its JSON pointer. Iterative: depth may be hostile."""
    stack = [(root, "", 0)]
    while stack:
        value, pointer, depth = stack.pop()
        place = pointer or "the whole"
        if isinstance(value, str):
            if (reason := _text_flaw(value)) is not None:
                return f"{place} {reason}"
        elif value is None or isinstance(value, bool):
            pass
        elif isinstance(value, (int, float)):
            if not _is_double(value):
                return f"{place} is a number that JSON cannot carry (infinite, not a number, or beyond a double)"
        elif isinstance(value, (list, tuple, dict)):
            if depth >= MAX_JSON_DEPTH:
                return f"{place} is nested deeper than {MAX_JSON_DEPTH} levels"
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, child in pairs:
                if isinstance(value, dict):
                    if not isinstance(key, str):
                        return f"{place} has the key {key!r}, which is not a string"
                    if (reason := _text_flaw(key)) is not None:
                        return f"{place} has a key that {reason}"
                    if key == "__proto__":
                        return f"{place} has the key __proto__"
                stack.append((child, _pointer(pointer, key), depth + 1))
        else:
            return f"{place} is a {type(value).__name__}, which is not JSON"
    return None


def _is_double(value: Union[int, float]) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _text_flaw(text: str) -> Optional[str]:
    if "\0" in text:
        return "contains the character U+0000"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return "contains a lone surrogate"
    return None


def _pointer(parent: str, segment: Union[str, int]) -> str:
    return f"{parent}/{str(segment).replace('~', '~0').replace('/', '~1')}"


def _storable(value: object) -> str:
    """As text that can be stored, whatever it is."""
    return str(value).replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(value: object, max_chars: int) -> str:
    """At most so many UTF-16 units, which is how the server counts."""
    text = _storable(value)
    units = text.encode("utf-16-le")
    if len(units) <= 2 * max_chars:
        return text
    return units[: 2 * (max_chars - 1)].decode("utf-16-le", "ignore") + "…"


def _dumps(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _required(value: Json, what: str) -> Json:
    """The value, if it can be sent; an effect that cannot will not be better the next time."""
    if (flaw := _flaw(value)) is not None:
        raise NonRetryableError(f"{what}: {flaw}; remove or encode it.", code="OUTPUT_UNSTORABLE")
    return value


# --- contracts: the part of JSON Schema 2020-12 that is checked here --------------------------------------------------

_TYPES: dict = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, (list, tuple)),
    "object": lambda v: isinstance(v, dict),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
}
_ONE_SCHEMA = {"items", "additionalProperties", "not"}
_MANY_SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions"}
_LIMITS: dict = {
    "minimum": ("number", lambda v, n: v >= n, "must be at least"),
    "maximum": ("number", lambda v, n: v <= n, "must be at most"),
    "exclusiveMinimum": ("number", lambda v, n: v > n, "must be more than"),
    "exclusiveMaximum": ("number", lambda v, n: v < n, "must be less than"),
    "minLength": ("string", lambda v, n: len(v) >= n, "must have at least this many characters:"),
    "maxLength": ("string", lambda v, n: len(v) <= n, "must have at most this many characters:"),
    "minItems": ("array", lambda v, n: len(v) >= n, "must have at least this many items:"),
    "maxItems": ("array", lambda v, n: len(v) <= n, "must have at most this many items:"),
    "minProperties": ("object", lambda v, n: len(v) >= n, "must have at least this many members:"),
    "maxProperties": ("object", lambda v, n: len(v) <= n, "must have at most this many members:"),
    "pattern": ("string", lambda v, n: re.search(n, v) is not None, "must match the pattern"),
}
_ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated",
                "readOnly", "writeOnly", "contentMediaType", "contentEncoding"}  # fmt: skip
_ASSERTIONS = {"type", "enum", "const", "required", "uniqueItems", "$ref", *_LIMITS}


def _check_schema(schema: Json, pointer: str, root: Json) -> None:
    """Raises ValueError for what could not be checked later: a contract must not be silently looser than it reads."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise ValueError(f"{pointer or 'the whole'} is not a schema (an object, true or false)")
    for key, value in schema.items():
        here = _pointer(pointer, key)
        if key in _ONE_SCHEMA:
            _check_schema(value, here, root)
        elif key in _MANY_SCHEMAS:
            for n, one in enumerate(value):
                _check_schema(one, _pointer(here, n), root)
        elif key in _NAMED_SCHEMAS:
            for name, one in value.items():
                if key == "patternProperties":
                    re.compile(name)
                _check_schema(one, _pointer(here, name), root)
        elif key not in _ASSERTIONS and key not in _ANNOTATIONS:
            raise ValueError(f"{here}: the keyword is not checked by the Python client; check it in the handler")
    for name in [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", []):
        if name not in _TYPES:
            raise ValueError(f"{pointer}/type: {name!r} is not a type")
    if "pattern" in schema:
        re.compile(schema["pattern"])
    if "$ref" in schema:
        _resolve(root, schema["$ref"])


def _resolve(root: Json, ref: str) -> Json:
    if ref != "#" and not ref.startswith("#/"):
        raise ValueError(f"$ref {ref!r} leads out of the schema; use one that begins with #/")
    found = root
    try:
        for segment in ref.split("/")[1:]:
            segment = urllib.parse.unquote(segment).replace("~1", "/").replace("~0", "~")
            found = found[int(segment)] if isinstance(found, list) else found[segment]
    except (LookupError, TypeError, ValueError):
        found = None
    if not isinstance(found, (dict, bool)):
        raise ValueError(f"$ref {ref!r} leads nowhere")
    return found


def _breaches(schema: Json, value: Json, pointer: str, root: Json) -> Iterator[str]:
    """Each way in which `value` breaks `schema`, beginning with its pointer."""
    place = pointer or "(the whole)"
    if schema is True:
        return
    if schema is False:
        yield f"{place}: is not allowed"
        return
    if "$ref" in schema:
        yield from _breaches(_resolve(root, schema["$ref"]), value, pointer, root)
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(_TYPES[name](value) for name in types):
            yield f"{place}: must be {' or '.join(types)}"
            return
    if "const" in schema and _frozen(value) != _frozen(schema["const"]):
        yield f"{place}: must be {_dumps(schema['const'])}"
    if "enum" in schema and _frozen(value) not in [_frozen(one) for one in schema["enum"]]:
        yield f"{place}: must be one of {', '.join(map(_dumps, schema['enum']))}"
    for keyword, (kind, holds, sentence) in _LIMITS.items():
        if keyword in schema and _TYPES[kind](value) and not holds(value, schema[keyword]):
            yield f"{place}: {sentence} {schema[keyword]}"
    if isinstance(value, dict):
        yield from _member_breaches(schema, value, pointer, root)
    if isinstance(value, (list, tuple)):
        first = schema.get("prefixItems", [])
        for n, item in enumerate(value):
            one = first[n] if n < len(first) else schema.get("items", True)
            yield from _breaches(one, item, f"{pointer}/{n}", root)
        if schema.get("uniqueItems") and len({_frozen(item) for item in value}) < len(value):
            yield f"{place}: must not have equal items"
    for one in schema.get("allOf", []):
        yield from _breaches(one, value, pointer, root)
    for keyword, is_enough in (("anyOf", lambda n: n > 0), ("oneOf", lambda n: n == 1)):
        branches = [list(_breaches(one, value, pointer, root)) for one in schema.get(keyword, [])]
        fitting = sum(1 for breaches in branches if not breaches)
        if branches and not is_enough(fitting):
            reasons = " or ".join(breaches[0] for breaches in branches if breaches)
            yield f"{place}: fits {fitting} of the forms of {keyword} ({reasons})"
    if "not" in schema and not list(_breaches(schema["not"], value, pointer, root)):
        yield f"{place}: has a form that is not allowed"


def _member_breaches(schema: Json, value: dict, pointer: str, root: Json) -> Iterator[str]:
    for name in schema.get("required", []):
        if name not in value:
            yield f"{_pointer(pointer, name)}: is missing"
    for name, child in value.items():
        here = _pointer(pointer, name)
        known = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        known += [one for pattern, one in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        for one in known or [schema.get("additionalProperties", True)]:
            yield from _breaches(one, child, here, root)


def _frozen(value: Json) -> Any:
    """Equal for equal JSON, and hashable: 1 is 1.0, but not true."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _frozen(child)) for key, child in value.items()))
    if isinstance(value, (list, tuple)):
        return ("array", tuple(map(_frozen, value)))
    return ("boolean", value) if isinstance(value, bool) else value


FLAWS_SHOWN = 5


def _require_contract(schema: Optional[dict], value: Json, capability: str, side: str) -> None:
    if schema is None:
        return
    breaches = list(itertools.islice(_breaches(schema, value, "", schema), FLAWS_SHOWN))
    if breaches:
        message = f'The {side} of "{capability}" is not valid: {"; ".join(breaches)}'
        raise NonRetryableError(message, code=f"{side.upper()}_INVALID")


# --- defining executors -----------------------------------------------------------------------------------------------

Handler = Callable[["Context", Json], Json]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_defined: list = []


class _Executor:
    """One capability: its name, its contract, and the handler that performs it."""

    def __init__(self, capability: str, version: str, description: str, schemas: dict, handler: Handler):
        self.capability = capability
        self.version = version
        self.description = description
        self.schemas = schemas
        self.handler = handler

    def contract(self) -> dict:
        """As the registry stores it."""
        contract = {"name": self.capability, "version": self.version}
        if self.description:
            contract["description"] = _cut(self.description, 4_096)
        return {**contract, **{f"{side}_schema": one for side, one in self.schemas.items() if one is not None}}

    def perform(self, ctx: "Context", input: Json) -> Json:
        """The checked output as plain JSON. Raises what the handler raises, and INPUT_INVALID or OUTPUT_INVALID."""
        _require_contract(self.schemas["input"], input, self.capability, "input")
        output = self.handler(ctx, input)
        if inspect.iscoroutine(output):
            output = asyncio.run(output)
        if (flaw := _flaw(output)) is not None:
            message = f'The output of "{self.capability}": {flaw}; remove or encode it.'
            raise NonRetryableError(message, code="OUTPUT_INVALID")
        _require_contract(self.schemas["output"], output, self.capability, "output")
        return output


def executor(
    capability: str,
    version: str = "1",
    input_schema: Optional[dict] = None,
    output_schema: Optional[dict] = None,
    description: Optional[str] = None,
) -> Callable[[Handler], Handler]:
    """
    Makes `def handler(ctx, input)` (or `async def`) perform a capability. What it returns is the output; what it raises
    fails the attempt: retried by the task's policy, at once final for a NonRetryableError, after a while for a
    RetryAfterError. It may run more than once: send `ctx.idempotency_key` along with outside effects.

    Contracts are JSON Schema objects. A broken one fails the task with INPUT_INVALID or OUTPUT_INVALID. The handler
    stays a plain function. The description is by default its docstring.
    """
    if not isinstance(capability, str) or not _NAME.fullmatch(capability):
        raise SkeinError(
            "CAPABILITY_INVALID",
            f'{capability!r} is not a capability name: start with a letter or "_", then up to 127 letters, digits, '
            '"_", "." or "-"',
        )
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise SkeinError("CAPABILITY_INVALID", f'{version!r} is not a version: write "2", "2.1" or "2.1.0"')
    schemas = {"input": input_schema, "output": output_schema}
    for side, schema in schemas.items():
        try:
            if schema is not None:
                if not isinstance(schema, dict):
                    raise ValueError("it must be an object")
                _check_schema(schema, "", schema)
        except (ValueError, TypeError, AttributeError, LookupError, re.error) as error:
            message = f'The {side} schema of "{capability}" is not usable: {error}'
            raise SkeinError("CAPABILITY_INVALID", message) from error

    def define(handler: Handler) -> Handler:
        if not callable(handler):
            raise SkeinError("CAPABILITY_INVALID", f'"{capability}" needs a function (ctx, input) to perform it')
        about = inspect.getdoc(handler) or "" if description is None else description
        made = _Executor(capability, version, about, schemas, handler)
        _defined.append(made)
        handler.skein_executor = made  # type: ignore[attr-defined]
        return handler

    return define


def _executor_of(handler: Any) -> _Executor:
    made = getattr(handler, "skein_executor", None)
    if isinstance(made, _Executor):
        return made
    message = f"{handler!r} is no executor; decorate it with @skein.executor(capability=…)"
    raise SkeinError("CAPABILITY_INVALID", message)


# --- what a handler sees ----------------------------------------------------------------------------------------------


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class TaskLog:
    """The handler's log. Lines are stored with the attempt, and go to the logger "skein" of this process."""

    def __init__(self, fields: dict):
        self._fields = fields
        self._lines: collections.deque = collections.deque()
        self._bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._closed = False

    def debug(self, message: object, /, **fields: Json) -> None:
        self._add("debug", message, fields)

    def info(self, message: object, /, **fields: Json) -> None:
        self._add("info", message, fields)

    def warning(self, message: object, /, **fields: Json) -> None:
        self._add("warn", message, fields)

    def error(self, message: object, /, **fields: Json) -> None:
        self._add("error", message, fields)

    @property
    def lines(self) -> list:
        """What the report brings: `at`, `level`, `message` and perhaps `fields`. The oldest give way to the latest."""
        with self._lock:
            kept = [json.loads(text) for text in self._lines]
        if self._dropped:
            note = f"{self._dropped} earlier lines were dropped: an attempt keeps {MAX_LOG_LINES} lines and 2 MiB"
            kept.insert(0, {"at": kept[0]["at"], "level": "warn", "message": note})
        return kept

    def _add(self, level: str, message: object, fields: dict) -> None:
        # What a handler logs must never fail its task.
        if fields and (flaw := _flaw(fields)) is not None:
            message, fields = f"{message} (fields left out: {flaw})", {}
        text = _cut(message, MAX_LOG_MESSAGE)
        _tell(_LEVELS[level], text, **{**self._fields, **fields})
        line = {"at": _now(), "level": level, "message": text, **({"fields": fields} if fields else {})}
        encoded = _dumps(line)
        with self._lock:
            if self._closed:
                return
            self._lines.append(encoded)
            self._bytes += len(encoded.encode())
            # One line fewer than allowed: the note takes its place.
            while len(self._lines) >= MAX_LOG_LINES or (self._bytes > MAX_LOG_BYTES and len(self._lines) > 1):
                self._bytes -= len(self._lines.popleft().encode())
                self._dropped += 1

    def _close(self) -> None:
        with self._lock:
            self._closed = True


class AgentState:
    """
    The agent's state: one JSON document, which belongs to the agent's name, so that it is there when the agent starts again.
    Everybody who runs under that name shares it, also the other slots of this process.
    """

    def __init__(self, data: "_Data"):
        self._data = data
        self._revision: Optional[int] = None
        self.effect: Optional[dict] = None
        """What the report brings: `document` (none: the state is deleted), `if_revision`, `ttl`."""

    def get(self, default: Json = None) -> Json:
        """The document, or `default` where there is none. What this attempt has set is what it gets."""
        if self.effect is not None:
            return _copy(self.effect.get("document", default))
        found = self._data.read_state()
        self._revision = found["revision"] if found else 0
        return found["document"] if found else default

    def set(self, document: Json, ttl: Optional[str] = None, force: bool = False) -> None:
        """
        Replaces the document whole when this attempt succeeds, and not otherwise; `ttl`, such as "1h", is how long it stays.
        If the attempt has read the state before and somebody else has written it since, the attempt fails with
        STATE_CONFLICT, to be tried again by the task's `retry`; with `force` it is replaced whatever it is.
        """
        effect = {"document": _copy(_required(document, "The state")), **({"ttl": ttl} if ttl is not None else {})}
        self.effect = {**effect, **self._condition(force)}

    def delete(self, force: bool = False) -> None:
        """Takes the document away when this attempt succeeds, on the same condition as `set`."""
        self.effect = self._condition(force)

    def update(self, change: Callable[[Json], Json], default: Json = None, ttl: Optional[str] = None) -> Json:
        """
        Writes `change(document)` at once and returns it; `change` is called again when somebody else was faster, so it loses
        no update. It stays when the attempt fails, and happens again when the attempt is repeated.
        """
        if self.effect is not None:
            message = "The attempt has set the state, which is written with its success; it cannot be updated as well."
            raise NonRetryableError(message, code="STATE_CONFLICT")
        for failures in itertools.count(1):
            found = self._data.read_state()
            document = change(found["document"] if found else default)
            _required(document, "The state")
            try:
                written = self._data.write_state(document, found["revision"] if found else 0, ttl)
                self._revision = written["revision"]
                return written["document"]
            except TaskError as error:
                if error.code != "STATE_CONFLICT":
                    raise
                # Who lost against many looks again a little later.
                self._data.pause(_pause_after(failures, LAST_UPDATE_PAUSE_S))
        raise AssertionError("unreachable")

    def _condition(self, force: bool) -> dict:
        return {} if force or self._revision is None else {"if_revision": self._revision}


class AgentMemory:
    """The agent's memory: entries with a type and any JSON as content, which belong to the agent's name as its state does."""

    def __init__(self, data: "_Data"):
        self._data = data
        self.added: list = []
        """The entries that the report brings."""

    def add(self, type: str, content: Json, ttl: Optional[str] = None) -> None:
        """
        Adds an entry when this attempt succeeds. The type is `message`, `observation`, `thought`, or a name of your own; `ttl`,
        such as "7d", is how long it stays.
        """
        _require_room(self.added, MAX_ENTRIES, "memory entries")
        entry = {"type": type, "content": content, **({"ttl": ttl} if ttl is not None else {})}
        self.added.append(_copy(_required(entry, "The memory entry")))

    def list(self, type: Optional[str] = None, limit: int = 100) -> list:
        """Entries that are stored, the newest first: dicts of `id`, `type`, `content`, `created_at` and more."""
        return self._data.entries(type, None, limit)

    def search(self, words: str, type: Optional[str] = None, limit: int = 100) -> list:
        """The same, of entries whose texts have the words; as in a web search: `geese "grey goose" -duck`."""
        return self._data.entries(type, words, limit)

    def similar(self, text: str, type: Optional[str] = None, limit: int = 100) -> list:
        """Those that mean something like the text, the closest first; the server needs a model for that."""
        return self._data.entries(type, None, limit, text)


class AgentInbox:
    """Messages to the agent. They come again, to each attempt, until one that has acknowledged them succeeds."""

    def __init__(self, data: "_Data"):
        self._data = data
        self.acknowledged: list = []
        """Ids of the messages that the report acknowledges."""

    def read(self, limit: int = 100, wait: float = 0) -> list:
        """What is not acknowledged, the oldest first; waits up to so many seconds (at most 30) for something."""
        return self._data.inbox(limit, wait)

    def acknowledge(self, messages: Iterable[Union[str, dict]]) -> None:
        """They, or those of these ids, do not come again once this attempt has succeeded."""
        for message in messages:
            one = message if isinstance(message, str) else message["id"]
            if one not in self.acknowledged:
                _require_room(self.acknowledged, MAX_BATCH, "acknowledgements")
                self.acknowledged.append(one)

    def subscribe(self, topic: str) -> None:
        """From now on the agent has what is said to the topic, also while it is away."""
        self._data.subscribe(topic, True)

    def unsubscribe(self, topic: str) -> None:
        """From now on it has not; what has come stays."""
        self._data.subscribe(topic, False)


def _require_room(effects: list, most: int, what: str) -> None:
    if len(effects) >= most:
        raise NonRetryableError(f"One attempt brings at most {most} {what}.", code="AGENT_DATA_TOO_LARGE")


def _message(to: Union[str, dict], body: Json, said: dict) -> dict:
    message = {"to": to, "body": body, **{name: value for name, value in said.items() if value is not None}}
    return _copy(_required(message, "The message"))


def _copy(value: Json) -> Json:
    """As it will arrive, so that the handler may go on to change it."""
    return json.loads(_dumps(value))


class _Data:
    """What the agent keeps, wherever it is."""

    def read_state(self) -> Optional[dict]:
        raise NotImplementedError

    def write_state(self, document: Json, revision: int, ttl: Optional[str]) -> dict:
        raise NotImplementedError

    def entries(self, type: Optional[str], search: Optional[str], limit: int, similar: Optional[str] = None) -> list:
        raise NotImplementedError

    def inbox(self, limit: int, wait: float) -> list:
        raise NotImplementedError

    def subscribe(self, topic: str, wanted: bool) -> None:
        raise NotImplementedError

    def ask(self, message: dict) -> dict:
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        raise NotImplementedError


class Context:
    """Everything a handler knows about the attempt it performs, and how it talks back."""

    def __init__(self, lease: dict, agent_id: str, data: _Data):
        self.input: Json = lease.get("input")
        self.task_id: str = lease["task_id"]
        self.key: str = lease.get("key", "")
        """The task's name within its run, such as `read[7]`."""
        self.run_id: str = lease.get("run_id", "")
        self.attempt: int = lease["attempt"]
        """From 1."""
        self.capability: str = lease["capability"]
        self.agent_id = agent_id
        self.idempotency_key: str = lease.get("idempotency_key", "")
        """The same for every attempt of the task: send it along with outside effects."""
        self.traceparent: Optional[str] = lease.get("traceparent")
        """W3C trace context, when the run has one."""
        self.timeout: float = lease.get("timeout_ms", 600_000) / 1000
        """How long the whole attempt may take, in seconds."""
        self.cancelled = threading.Event()
        """Set on cancel, lost lease, timeout and drain: stop soon, the outcome will not be accepted."""
        self.reason: str = ""
        """Why it was cancelled: CANCELLED, LEASE_LOST, timeout or DRAINED."""
        self.log = TaskLog({"run_id": self.run_id, "task_id": self.task_id, "task": self.key, "attempt": self.attempt})
        self.usage: Optional[dict] = None
        """What the attempt used up (tokens, money, …), as a JSON object: stored with the task."""
        self.emitted: list = []
        self.spawned: list = []
        self._data = data
        self.state = AgentState(data)
        """The agent's one document, which outlives the attempt, and the agent."""
        self.memory = AgentMemory(data)
        """The agent's memory, which does so, too."""
        self.inbox = AgentInbox(data)
        """Messages to the agent."""
        self.sent: list = []

    def progress(self, note: Json) -> None:
        """Leaves a progress note, seen a moment later. The lease is kept without it."""

    def emit(
        self,
        map: str,
        items: Sequence[Json] = (),
        key: Optional[Callable[[Json], str]] = None,
        close: bool = False,
        now: bool = False,
    ) -> None:
        """
        Adds items to an open map of the run; `key(item)` names an item, and the map ignores a name it has already;
        `close` says that no more will come. They go with this attempt's success, or `now`: then give keys, since the
        attempt may be repeated.
        """
        named = [{"item": item} if key is None else {"item": item, "key": key(item)} for item in items]
        emission = _required({"map": map, "items": named, "close": close}, "The emission")
        if now:
            self._emit_now(emission)
        else:
            self.emitted.append(emission)

    def spawn(self, *tasks: dict) -> None:
        """Adds tasks to the run, as they stand in a workflow file, once this attempt has succeeded."""
        self.spawned.extend(_required(list(tasks), "The spawned tasks"))

    def send(
        self,
        to: Union[str, dict],
        body: Json,
        type: Optional[str] = None,
        conversation: Optional[str] = None,
        reply_to: Optional[str] = None,
        key: Optional[str] = None,
        ttl: Optional[str] = None,
        must_route: bool = False,
        expects_reply: Optional[str] = None,
    ) -> None:
        """
        Sends a message to an agent, by name or by id, to `{"topic": …}` or to `{"broadcast": True}`, when this attempt
        succeeds: exactly once, from this agent. It waits in the inbox of that name, also while nobody is there, unless it
        `must_route`: then the attempt fails with AGENT_NOT_FOUND. Under one `key` the agent sends one message, whichever task
        it is. `ttl` is by default "7d". With `expects_reply`, such as "1h", a message of the type `no_reply` comes if no
        other has come by then whose `reply_to` is this one.
        """
        _require_room(self.sent, MAX_MESSAGES, "messages")
        said = {
            "type": type, "conversation": conversation, "reply_to": reply_to, "key": key, "ttl": ttl,
            "must_route": must_route or None, "expects_reply": expects_reply,
        }  # fmt: skip
        self.sent.append(_message(to, body, said))

    def ask(
        self,
        to: Union[str, dict],
        body: Json,
        within: str = "30s",
        type: Optional[str] = None,
        conversation: Optional[str] = None,
    ) -> dict:
        """
        Sends a message now, and waits for its reply, a dict of `from`, `body` and more: the first message whose `reply_to` it
        is. Raises a TaskError with the code NO_REPLY when none has come `within` that time. A repeated attempt asks again.
        """
        said = {"type": type, "conversation": conversation, "key": str(uuid.uuid4()), "expects_reply": within}
        reply = self._data.ask(_message(to, body, said))
        if reply["from"]["kind"] == "system":
            raise TaskError(f"Nobody replied within {within}", code="NO_REPLY")
        return reply

    def check(self) -> None:
        """Raises `Cancelled` if nobody wants the outcome any more."""
        if self.cancelled.is_set():
            raise Cancelled(f"The attempt was stopped ({self.reason})", code=self.reason or "CANCELLED")

    def sleep(self, seconds: float) -> None:
        """Sleeps, but not on when cancelled: then raises `Cancelled`."""
        self.cancelled.wait(seconds)
        self.check()

    def _emit_now(self, emission: dict) -> None:
        raise NotImplementedError


class TestContext(Context):
    """
    For `perform`: any field of the context can be given, and what the handler did is there afterwards. Of `state` that is the
    document there is, of `memory` a list of `{"type": …, "content": …}` (the oldest first), of `inbox` a list of messages.
    `replies` are what `ask` gets, in turn; then nobody replies.
    """

    __test__ = False  # pytest: this is not a test

    def __init__(self, **fields: Any):
        lease = {"task_id": "task-1", "key": "task", "run_id": "run-1", "attempt": 1, "capability": ""}
        data = _DataInMemory(fields)
        super().__init__(lease, "agent-1", data)
        self.idempotency_key = "idempotency-1"
        self.notes: list = []
        """Progress notes, in order."""
        self.asked: list = data.asked
        """Messages that the handler asked for a reply to, in order."""
        self.topics: set = data.topics
        """What the agent is subscribed to."""
        for name, value in fields.items():
            if name in _DataInMemory.fields:
                continue
            if not hasattr(self, name):
                raise TypeError(f"A context has no {name!r}")
            setattr(self, name, value)

    def progress(self, note: Json) -> None:
        self.notes.append(_required(note, "The progress note"))

    def _emit_now(self, emission: dict) -> None:
        self.emitted.append(emission)


class _DataInMemory(_Data):
    """As the server has it, but that it looks for words in the simplest way, and that nothing ever expires."""

    fields = ("state", "memory", "inbox", "replies")

    def __init__(self, fields: dict):
        self._state: Optional[dict] = None
        if "state" in fields:
            self._state = {"document": _copy(_required(fields["state"], "The state")), "revision": 1}
        known = _copy(_required(fields.get("memory", []), "The memory"))
        self._entries = [{"id": _test_id(n), "created_at": _now(), **entry} for n, entry in enumerate(known, 1)]
        self._replies = _copy(_required(fields.get("replies", []), "The replies"))
        self.asked: list = []
        self.topics: set = set()
        messages = _copy(_required(fields.get("inbox", []), "The inbox"))
        self._messages = [{"id": _test_id(n), "created_at": _now(), **message} for n, message in enumerate(messages, 1)]

    def read_state(self) -> Optional[dict]:
        return _copy(self._state)

    def write_state(self, document: Json, revision: int, ttl: Optional[str]) -> dict:
        if revision != (self._state["revision"] if self._state else 0):
            raise TaskError("The state has another revision", code="STATE_CONFLICT")
        self._state = {"document": _copy(document), "revision": revision + 1}
        return _copy(self._state)

    def entries(self, type: Optional[str], search: Optional[str], limit: int, similar: Optional[str] = None) -> list:
        if similar is not None:
            raise NonRetryableError("Without a server there is no model to search by meaning with", code="FEATURE_UNAVAILABLE")
        wanted = set(_words(search or ""))
        found = [
            entry for entry in reversed(self._entries)
            if type in (None, entry["type"]) and wanted <= set(_words(_dumps(entry["content"])))
        ]  # fmt: skip
        return _copy(found[:limit])

    def inbox(self, limit: int, wait: float) -> list:
        return _copy(self._messages[:limit])

    def subscribe(self, topic: str, wanted: bool) -> None:
        (self.topics.add if wanted else self.topics.discard)(topic)

    def ask(self, message: dict) -> dict:
        self.asked.append(message)
        if self._replies:
            return {"from": {"kind": "agent", "name": "test"}, "body": self._replies.pop(0)}
        return {"from": {"kind": "system", "name": "skein"}, "body": {"asked": message["to"]}}

    def pause(self, seconds: float) -> None:
        pass


def _test_id(n: int) -> str:
    return str(uuid.UUID(int=n))


def _words(text: str) -> list:
    return re.findall(r"\w+", text.casefold())


def perform(handler: Handler, input: Json = None, ctx: Optional[Context] = None) -> Json:
    """
    Performs a handler as an agent would, without any server: checks the input, runs it, checks the output and returns
    it as JSON. Raises what the handler raises. Pass a `TestContext` to see what it logged, emitted, spawned, kept and sent.
    """
    made = _executor_of(handler)
    ctx = TestContext() if ctx is None else ctx
    ctx.input = json.loads(_dumps(_required(input, "The input")))
    ctx.capability = made.capability
    return json.loads(_dumps(made.perform(ctx, ctx.input)))


# --- HTTP -------------------------------------------------------------------------------------------------------------


class _Abort:
    """Ends a request from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None
        self.is_set = False

    def watch(self, sock: Optional[socket.socket]) -> None:
        with self._lock:
            self._socket = sock
            if self.is_set:
                raise ConnectionAbortedError("stopped")

    def set(self) -> None:
        with self._lock:
            self.is_set = True
            if self._socket is not None:
                try:
                    # Past an SSLSocket's own method, which would take its state from under the thread that reads.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    pass  # It is over already.


class _Http:
    """JSON over kept-alive connections to one server."""

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SkeinError("CONFIG_INVALID", f"SKEIN_URL {url!r} must begin with http:// or https:// and name a host")
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list = []
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        body: Optional[str],
        token: Optional[str],
        within: float = ANSWER_WITHIN_S,
        abort: Optional[_Abort] = None,
        repeatable: bool = True,
        extra: Optional[dict] = None,
    ) -> Json:
        """The parsed answer; raises a SkeinError with the server's code, or SERVER_UNREACHABLE."""
        headers = {"Accept": "application/json", **(extra or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        while True:
            connection = None
            was_used = False
            try:
                connection, was_used = self._take(within)
                if abort:
                    abort.watch(connection.sock)
                connection.request(method, self._base + path, body.encode() if body is not None else None, headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                if connection is not None:
                    connection.close()
                # The server closes idle connections, perhaps just as we use one.
                is_stale = was_used and isinstance(error, ConnectionError) and not (abort and abort.is_set)
                if is_stale and repeatable:
                    continue
                reason = str(error) or type(error).__name__
                message = f"No answer from {self.url} ({reason}). Is the server running there?"
                raise SkeinError("SERVER_UNREACHABLE", message, transient=True) from error
            finally:
                if abort:
                    abort._socket = None
            if response.will_close:
                connection.close()
            else:
                self._give_back(connection)
            return self._read(response, text)

    def _take(self, within: float) -> tuple:
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if time.monotonic() - since < IDLE_CONNECTION_S:
                    connection.sock.settimeout(within)
                    return connection, True
                connection.close()
        timeout = min(within, ANSWER_WITHIN_S)
        if self._tls:
            made = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        else:
            made = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        made.connect()
        made.sock.settimeout(within)
        return made, False

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((connection, time.monotonic()))

    def _read(self, response: http.client.HTTPResponse, text: bytes) -> Json:
        status = response.status
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = None
        if 200 <= status < 300 and (body is not None or not text):
            return body
        if isinstance(body, dict) and isinstance(body.get("code"), str):
            transient = status >= 500 and status != 501 or status in (408, 429)
            pause = response.getheader("retry-after", "")
            raise SkeinError(
                body["code"], str(body.get("detail", "")), transient, float(pause) if pause.isdigit() else 0.0
            )
        # Not the server itself: something between us that will go away, or a wrong address that the message shows.
        message = f"{self.url} answered {status}: {text[:200].decode('utf-8', 'replace')}. Is it a Skein server?"
        raise SkeinError("INTERNAL", message, transient=True)


def _pause_after(failures: int, longest: float = LAST_PAUSE_S) -> float:
    """Seconds before try `failures + 1`: doubled each time, shortened at random by up to half."""
    return min(FIRST_PAUSE_S * 2 ** min(failures - 1, 20), longest) * (0.5 + random.random() / 2)


def _until_answered(ask: Callable[[], Json], within: float, stop: Optional[threading.Event] = None) -> Json:
    """The first answer; no try begins later than `within` seconds after the first, or once `stop` is set."""
    began = time.monotonic()
    for failures in itertools.count(1):
        try:
            return ask()
        except SkeinError as error:
            pause = max(_pause_after(failures), error.retry_after)
            if not error.transient or time.monotonic() - began + pause > within:
                raise
            if stop is None:
                time.sleep(pause)
            elif stop.wait(pause):
                raise


# --- the agent --------------------------------------------------------------------------------------------------------


class _Session:
    """One registration. Leases belong to it: another registration is another agent, which cannot report them."""

    def __init__(self, answer: dict):
        self.agent_id: str = answer["id"]
        self.token: str = answer["agent_token"]
        self.lease_s: float = answer["lease_ms"] / 1000


class _LiveContext(Context):
    def __init__(self, lease: dict, agent: "Agent", attempt: "_Attempt"):
        super().__init__(lease, attempt.session.agent_id, _LiveData(agent, attempt))
        self._agent = agent
        self._attempt = attempt

    def progress(self, note: Json) -> None:
        self._agent._note(self._attempt, note)

    def _emit_now(self, emission: dict) -> None:
        self._agent._emit(self._attempt, emission)


class _LiveData(_Data):
    """What the server has of the agent. Lost answers are asked for again, for as long as a lease."""

    def __init__(self, agent: "Agent", attempt: "_Attempt"):
        self._agent = agent
        self._attempt = attempt

    def read_state(self) -> Optional[dict]:
        try:
            return self._ask("GET", "/state")
        except TaskError as error:
            if error.code == "STATE_NOT_FOUND":
                return None
            raise

    def write_state(self, document: Json, revision: int, ttl: Optional[str]) -> dict:
        condition = {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}
        # Named, so that one whose answer was lost is found done when it is asked for again.
        body = {"document": document, "write_id": str(uuid.uuid4()), **({"ttl": ttl} if ttl is not None else {})}
        return self._ask("PUT", "/state", body, condition)

    def entries(self, type: Optional[str], search: Optional[str], limit: int, similar: Optional[str] = None) -> list:
        kind = "" if type is None else f"/{urllib.parse.quote(type, safe='')}"
        asked = {"limit": limit, "search": search, "similar_to": similar}
        query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
        return self._ask("GET", f"/memory{kind}?{query}")["data"]

    def inbox(self, limit: int, wait: float) -> list:
        query = urllib.parse.urlencode({"limit": limit, "wait": wait})
        return self._ask("GET", f"/inbox?{query}", within=wait + ANSWER_WITHIN_S)["messages"]

    def subscribe(self, topic: str, wanted: bool) -> None:
        self._ask("PUT" if wanted else "DELETE", f"/subscriptions/{urllib.parse.quote(topic, safe='')}")

    def ask(self, message: dict) -> dict:
        sent = self._ask("POST", "/v1/messages", {"messages": [message]})
        path = f"/v1/messages/{sent['messages'][0]['id']}/reply?wait={ASK_WAIT_S}"
        while True:
            answer = self._ask("GET", path, within=ASK_WAIT_S + ANSWER_WITHIN_S)
            if answer["message"] is not None:
                self._ask("POST", "/inbox/ack", {"ids": [answer["message"]["id"]]})
                return answer["message"]

    def pause(self, seconds: float) -> None:
        self._attempt.ctx.sleep(seconds)

    def _ask(
        self,
        method: str,
        path: str,
        body: Json = None,
        headers: Optional[dict] = None,
        within: float = ANSWER_WITHIN_S,
    ) -> Json:
        attempt = self._attempt
        attempt.ctx.check()
        session = attempt.session
        url = path if path.startswith("/v1/") else _agent_path(session) + path
        text = None if body is None else _dumps(body)
        call = self._agent._http.call
        try:
            return _until_answered(
                lambda: call(method, url, text, session.token, within, extra=headers), attempt.lease_s
            )
        except SkeinError as error:
            passes = error.transient or error.forgotten or error.code in ("LEASE_LOST", "STATE_CONFLICT")
            kind = TaskError if passes else NonRetryableError
            raise kind(str(error), code=error.code) from error


class _Attempt:
    """One attempt in this process: its lease, and how it stands. Times are monotonic seconds."""

    def __init__(self, lease: dict, session: _Session, made: _Executor, agent: "Agent", leased_at: float):
        self.lease = lease
        self.session = session
        self.executor = made
        self.ctx = _LiveContext(lease, agent, self)
        self.started_at = _now()
        self.begun_at = time.monotonic()
        self.is_ended = False
        """Nothing more is expected of the handler: its outcome is known, or wanted by nobody."""
        self.stopped_at: Optional[float] = None
        self.was_named = False
        self.note: Optional[str] = None
        self.report = ""
        """The outcome as JSON, but for the proof of the lease."""
        self.is_refusal = False
        self.hold(lease, leased_at)

    def hold(self, lease: dict, leased_at: float) -> None:
        """Granted, or granted again: it stands for less until its first heartbeat."""
        self.lease = lease
        self.lease_s = lease["lease_ms"] / 1000
        self.is_new = True
        self.due_at = time.monotonic() + min(FIRST_BEAT_S, self.lease_s / BEATS_PER_LEASE)
        self.fence_at = leased_at + self.lease_s * FIRST_LEASE_SHARE * SAFE_SHARE

    def confirm(self, sent_at: float) -> None:
        self.is_new = False
        self.due_at = sent_at + self.lease_s / BEATS_PER_LEASE
        self.fence_at = sent_at + self.lease_s * SAFE_SHARE

    def hurry(self) -> None:
        """A note should be seen soon, yet many notes must not become many requests."""
        self.due_at = min(self.due_at, time.monotonic() + min(FIRST_BEAT_S, self.lease_s / BEATS_PER_LEASE))

    def proof(self) -> dict:
        return {name: self.lease[name] for name in ("task_id", "attempt", "lease_token")}

    def fields(self) -> dict:
        return {
            "run_id": self.ctx.run_id, "task_id": self.ctx.task_id, "task": self.ctx.key, "attempt": self.ctx.attempt,
            "agent_id": self.session.agent_id, "capability": self.ctx.capability,
        }  # fmt: skip


_REASONS = {
    "cancel": (logging.INFO, "CANCELLED", "the task was cancelled"),
    "lost": (logging.WARNING, "LEASE_LOST", "the lease was lost; someone else may have the task"),
    "silent": (logging.WARNING, "LEASE_LOST", "the server was not heard for almost a lease; it may be lost"),
    "drain": (logging.INFO, "DRAINED", "the executor is stopping; the task was given back"),
}


class Agent:
    """An agent at work: claims by long-poll, performs in its slots, keeps its leases, reports. See `run`, `start`."""

    def __init__(self, executors: Sequence[_Executor], settings: dict):
        self._executors = _by_capability(executors)
        self._settings = settings
        self._http = _Http(settings["url"])
        self._slots: int = settings["slots"]
        # One lock for all state below. Nothing slow is done while holding it.
        lock = threading.RLock()
        self._lock = lock
        self._may_poll = threading.Condition(lock)
        self._may_report = threading.Condition(lock)
        self._may_stop = threading.Condition(lock)
        self._session: Optional[_Session] = None
        self._was_registered = False
        self._free = self._slots
        # Those whose handlers have not returned (each takes a slot), the latest of each task, and the leases to keep.
        self._running: set = set()
        self._by_task: dict = {}
        self._held: set = set()
        self._finished: collections.deque = collections.deque()
        self._is_reporting = False
        self._stopping = threading.Event()
        self._abort_claim = _Abort()
        # Of the sign of presence, which the server keeps waiting until there is news.
        self._abort_presence = _Abort()
        # Wakes the thread that registers.
        self._attend = threading.Event()
        self._closed = threading.Event()
        self._done = threading.Event()
        # What whoever started us waits for: "registered", an exception, a signal. A SimpleQueue, since a signal handler
        # may put into it at any time.
        self._news: queue.SimpleQueue = queue.SimpleQueue()
        self._poller = self._thread(self._poll_loop, "poll")

    @property
    def agent_id(self) -> Optional[str]:
        """Changes when the server forgot the agent and it registered again; None meanwhile."""
        session = self._session
        return session.agent_id if session else None

    def stop(self) -> None:
        """
        Takes no new work, gives handlers the drain time to finish, gives back what is left, reports the rest, leaves.
        Returns when done; may be called more than once.
        """
        with self._lock:
            is_first = not self._stopping.is_set()
            self._stopping.set()
            self._may_poll.notify_all()
        if not is_first:
            self._done.wait()
            return
        _tell(logging.INFO, "stopping: no new work is taken", agent_id=self.agent_id, running=len(self._running))
        self._abort_claim.set()
        with self._may_stop:
            self._may_stop.wait_for(lambda: not self._running, self._settings["drain"])
        # First the claim that was ended and is asked once more: it would take what is given back.
        self._poller.join(FLUSH_WITHIN_S)
        with self._may_stop:
            left = [attempt for attempt in self._running if not attempt.is_ended]
            for attempt in left:
                self._give_up(attempt, "drain")
        for session in {attempt.session for attempt in left}:
            self._release(session, [attempt.proof() for attempt in left if attempt.session is session])
        with self._may_stop:
            self._may_stop.wait_for(lambda: not self._finished and not self._is_reporting, FLUSH_WITHIN_S)
        self._closed.set()
        self._attend.set()
        with self._lock:
            session = self._session
            self._abort_presence.set()
            self._may_report.notify_all()
        if session:
            try:
                self._http.call("DELETE", _agent_path(session), None, session.token, LEAVE_WITHIN_S)
            except SkeinError as error:
                _tell(logging.WARNING, f"could not say goodbye: {error}", agent_id=session.agent_id)
        _tell(logging.INFO, "stopped", running=len(self._running))
        self._done.set()

    def _start(self) -> None:
        for loop, name in (
            (self._presence_loop, "presence"),
            (self._report_loop, "report"),
            (self._beat_loop, "heartbeat"),
            (self._clock_loop, "clock"),
        ):
            self._thread(loop, name).start()
        self._poller.start()

    def _thread(self, loop: Callable[[], None], name: str) -> threading.Thread:
        def keep_going() -> None:
            while not self._done.is_set():
                try:
                    return loop()
                except Exception:  # noqa: BLE001 - whatever it was, the others depend on this thread
                    log.exception("the %s thread failed; it goes on", name)
                    self._done.wait(RECOVER_AFTER_S)

        return threading.Thread(target=keep_going, name=f"skein-{name}", daemon=True)

    # Membership

    def _presence_loop(self) -> None:
        """Says that the agent is there; registers it at the start, and whenever the server has forgotten it."""
        failures = 0
        while not self._closed.is_set():
            self._attend.clear()
            session = self._session
            if session is None:
                failures = failures + 1 if not self._join(failures + 1) else 0
                pause = _pause_after(failures, LAST_REGISTER_PAUSE_S) if failures else 0.0
            else:
                every = min(PRESENCE_S, session.lease_s / BEATS_PER_LEASE)
                begun_at = time.monotonic()
                has_news = self._present(session, every)
                # Once more soon: the answer was made before the news.
                pause = NEWS_GAP_S if has_news else max(0.0, every - (time.monotonic() - begun_at))
            # Forgotten meanwhile: at once.
            if pause and (self._session is not None or session is None):
                self._attend.wait(pause)

    def _join(self, tries: int) -> bool:
        settings = self._settings
        body = {
            "name": settings["name"],
            "door": "poll",
            "capabilities": [made.contract() for made in self._executors.values()],
            "slots": self._slots,
            **({"labels": settings["labels"]} if settings["labels"] else {}),
            **({"version": settings["version"]} if settings["version"] else {}),
        }
        try:
            session = _Session(self._http.call("POST", "/v1/agents", _dumps(body), settings["api_key"]))
        except SkeinError as error:
            # What waiting cannot cure is told to whoever started us; later, the server may come to its senses.
            if not error.transient and not self._was_registered:
                self._news.put(error)
            _tell(logging.WARNING, f"cannot register, trying again: {error}", failures=tries)
            return False
        _tell(logging.INFO, "registered", agent_id=session.agent_id, name=settings["name"])
        with self._lock:
            self._session = session
            self._may_poll.notify_all()
        if not self._was_registered:
            self._was_registered = True
            self._news.put("registered")
        return True

    def _present(self, session: _Session, wait: float) -> bool:
        """Answers whether there was news while the server kept it waiting: then leases are to be looked after at once."""
        body = _dumps({"load": {"running": len(self._running), "slots": self._slots}, "wait": wait})
        with self._lock:
            if session is not self._session or self._closed.is_set():
                return False
            abort = self._abort_presence = _Abort()
        try:
            path = f"{_agent_path(session)}/heartbeat"
            # The wait, and as long again for the answer.
            answer = self._http.call("POST", path, body, session.token, max(MIN_ANSWER_S, 2 * wait), abort)
        except SkeinError as error:
            if abort.is_set:
                return False
            _tell(logging.WARNING, f"no answer to an agent heartbeat: {error}", agent_id=session.agent_id)
            self._heed(session, error)
            return False
        if self._settings["health_file"]:
            pathlib.Path(self._settings["health_file"]).touch()
        if answer.get("draining") and not self._stopping.is_set():
            _tell(logging.INFO, "somebody wants this agent drained", agent_id=session.agent_id)
            threading.Thread(target=self.stop, name="skein-drain").start()
            self._news.put(signal.SIGTERM)
        if not answer.get("news"):
            return False
        with self._lock:
            for attempt in self._held:
                attempt.due_at = time.monotonic()
        return True

    def _heed(self, session: _Session, error: SkeinError) -> None:
        """If the server does not know the agent any more, nothing that the session holds can be reported."""
        with self._lock:
            if not error.forgotten or session is not self._session:
                return
            self._session = None
            for attempt in [one for one in self._running if one.session is session and not one.is_ended]:
                self._give_up(attempt, "lost")
            self._held = {one for one in self._held if one.session is not session}
            self._abort_presence.set()
        _tell(logging.WARNING, "the server forgot this agent; registering again", agent_id=session.agent_id)
        self._attend.set()

    # Taking work

    def _poll_loop(self) -> None:
        while True:
            with self._may_poll:
                self._may_poll.wait_for(lambda: self._stopping.is_set() or (self._session and self._free > 0))
                self._may_poll.wait_for(
                    lambda: self._stopping.is_set() or not (self._finished or self._is_reporting), HOLD_BACK_S
                )
                if self._stopping.is_set():
                    return
                session = self._session
                reserved = self._reserve() if session else 0
            if session is None or reserved == 0:
                continue
            pause = 0.0
            asked_at = time.monotonic()
            try:
                leases, leased_at = self._claim(session, reserved)
                reserved = self._begin(session, leases, leased_at, reserved)
                if not leases and time.monotonic() - asked_at < SOON_S:
                    pause = SOON_S
            except SkeinError as error:
                pause = max(RECOVER_AFTER_S, error.retry_after)
                if not self._stopping.is_set():
                    _tell(logging.WARNING, f"a claim failed: {error}", agent_id=session.agent_id)
                self._heed(session, error)
            finally:
                self._release_slots(reserved)
            self._stopping.wait(pause)

    def _claim(self, session: _Session, most: int) -> tuple:
        """
        Takes leases, at most this old. One request id goes with every try: an answer that was lost is given again. When
        stopping it asks once more without waiting, since it may hold leases by then; what comes has to be given back.
        """
        request_id = str(uuid.uuid4())
        give_up_at = math.inf
        for failures in itertools.count(1):
            was_stopping = self._stopping.is_set()
            wait = 0 if was_stopping else MAX_WAIT_S
            body = _dumps({"request_id": request_id, "max": most, "wait": wait})
            sent_at = time.monotonic()
            abort = None if was_stopping else self._abort_claim
            try:
                answer = self._http.call("POST", "/v1/tasks/claim", body, session.token, wait + ANSWER_WITHIN_S, abort)
                # What came of waiting is fresh: the server answers as soon as it has something.
                return answer.get("tasks") or [], time.monotonic() if wait else sent_at
            except SkeinError as error:
                # What the first try was given has run out by then; how long it had waited before does not matter.
                give_up_at = min(give_up_at, time.monotonic() + session.lease_s)
                if self._stopping.is_set() and not was_stopping:
                    give_up_at = time.monotonic() + SETTLE_WITHIN_S
                    continue
                pause = max(_pause_after(failures), error.retry_after)
                if not error.transient or time.monotonic() + pause > give_up_at:
                    raise
                if was_stopping:
                    time.sleep(pause)
                else:
                    self._stopping.wait(pause)
        raise AssertionError("unreachable")

    def _begin(self, session: _Session, leases: list, leased_at: float, reserved: int) -> int:
        """Begins what was claimed in `reserved` slots, gives back the rest, and says how many slots were not needed."""
        new: list = []
        unwanted: list = []
        with self._lock:
            for lease in leases:
                known = self._by_task.get(lease["task_id"])
                if known and known.session is session and known.lease["attempt"] == lease["attempt"]:
                    # A repeated request answers with the leases it was given before: the handler goes on.
                    known.hold(lease, leased_at)
                    continue
                made = self._executors.get(lease["capability"])
                if self._stopping.is_set() or session is not self._session or made is None or len(new) >= reserved:
                    unwanted.append(lease)
                    continue
                attempt = _Attempt(lease, session, made, self, leased_at)
                self._running.add(attempt)
                self._held.add(attempt)
                self._by_task[lease["task_id"]] = attempt
                new.append(attempt)
        for attempt in new:
            _tell(logging.INFO, "task started", **attempt.fields())
            threading.Thread(target=self._perform, args=(attempt,), name=attempt.ctx.key, daemon=True).start()
        if unwanted:
            names = ("task_id", "attempt", "lease_token")
            self._release(session, [{name: lease[name] for name in names} for lease in unwanted])
        return reserved - len(new)

    def _release(self, session: _Session, proofs: list) -> None:
        for chunk in _chunks(proofs, MAX_BATCH):
            body = _dumps({"leases": chunk})
            try:
                _until_answered(
                    lambda: self._http.call("POST", "/v1/tasks/release", body, session.token), RELEASE_WITHIN_S
                )
                _tell(logging.INFO, "leases given back", agent_id=session.agent_id, leases=len(chunk))
            except SkeinError as error:
                _tell(logging.WARNING, f"leases run out instead: {error}", agent_id=session.agent_id)

    def _reserve(self) -> int:
        taken = min(self._free, MAX_BATCH)
        self._free -= taken
        return taken

    def _release_slots(self, count: int) -> None:
        with self._lock:
            self._free += count
            if count:
                self._may_poll.notify_all()

    # Doing it

    def _perform(self, attempt: _Attempt) -> None:
        ctx = attempt.ctx
        try:
            report = self._completed(attempt, attempt.executor.perform(ctx, ctx.input))
        except BaseException as thrown:  # noqa: BLE001 - sys.exit() in a handler ends the attempt, not the agent
            report = {"outcome": "failed", "error": _failure(thrown)}
            if not attempt.is_ended:
                _tell(logging.WARNING, "task failed", **attempt.fields(), code=report["error"]["code"])
                log.debug("the handler raised", exc_info=True)
        with self._lock:
            self._running.discard(attempt)
            if self._by_task.get(ctx.task_id) is attempt:
                del self._by_task[ctx.task_id]
            if not attempt.is_ended:
                self._finish(attempt, report)
            elif attempt.was_named:
                _tell(logging.INFO, "the handler that did not heed its cancellation has returned", **attempt.fields())
            self._may_stop.notify_all()
        # Only now, so that the report takes new work for this slot with it.
        self._release_slots(1)

    def _completed(self, attempt: _Attempt, output: Json) -> dict:
        size = len(_dumps(output).encode())
        if size > MAX_OUTPUT_BYTES:
            raise NonRetryableError(
                f"The output has {size:,} bytes, the limit is {MAX_OUTPUT_BYTES:,}; store it elsewhere and return where"
                " it is.",
                code="OUTPUT_TOO_LARGE",
            )
        ctx = attempt.ctx
        report: dict = {"outcome": "completed", "output": output}
        if ctx.usage is not None:
            report["usage"] = _required(dict(ctx.usage), "The usage")
        lists = {"emit": ctx.emitted, "spawn": ctx.spawned, "memory": ctx.memory.added, "messages": ctx.sent,
                 "acknowledge": ctx.inbox.acknowledged}  # fmt: skip
        effects = {name: effect for name, effect in lists.items() if effect}
        # Without a member it is an effect, too: it deletes.
        if ctx.state.effect is not None:
            effects["state"] = ctx.state.effect
        if effects:
            report["effects"] = effects
        return report

    def _finish(self, attempt: _Attempt, report: dict) -> None:
        attempt.is_ended = True
        attempt.ctx.log._close()
        lines = attempt.ctx.log.lines
        if lines:
            report["logs"] = lines
        report["delivered_at"] = report["started_at"] = attempt.started_at
        attempt.report = _dumps(report)
        self._finished.append(attempt)
        self._may_report.notify_all()

    def _give_up(self, attempt: _Attempt, why: str) -> None:
        """Nobody wants an outcome of this attempt any more. The caller holds the lock."""
        level, code, message = _REASONS[why]
        _tell(level, message, **attempt.fields(), code=code)
        self._held.discard(attempt)
        self._stop_handler(attempt, code)

    def _stop_handler(self, attempt: _Attempt, code: str) -> None:
        attempt.is_ended = True
        attempt.stopped_at = time.monotonic()
        attempt.ctx.log._close()
        attempt.ctx.reason = code
        attempt.ctx.cancelled.set()

    def _note(self, attempt: _Attempt, note: Json) -> None:
        flaw = _flaw(note)
        text = "" if flaw else _dumps(note)
        if len(text) > MAX_PROGRESS_CHARS:
            flaw = f"it is longer than {MAX_PROGRESS_CHARS} characters"
        if flaw:
            _tell(logging.WARNING, f"left out a progress note: {flaw}", **attempt.fields())
            return
        with self._lock:
            if not attempt.is_ended:
                attempt.note = text
                attempt.hurry()

    def _emit(self, attempt: _Attempt, emission: dict) -> None:
        body = _dumps({**attempt.proof(), **emission})
        token = attempt.session.token
        # Without keys, the server could not tell a repetition from new items.
        is_safe = all("key" in item for item in emission["items"])
        within = attempt.lease_s if is_safe else 0.0
        try:
            _until_answered(
                lambda: self._http.call("POST", "/v1/tasks/emit", body, token, repeatable=is_safe), within
            )
        except SkeinError as error:
            kind = TaskError if error.transient or error.code == "LEASE_LOST" else NonRetryableError
            raise kind(f"Cannot emit into {emission['map']!r}: {error}", code=error.code) from error

    # Reporting

    def _report_loop(self) -> None:
        while True:
            with self._may_report:
                self._may_report.wait_for(lambda: self._finished or self._closed.is_set())
                if not self._finished or self._closed.is_set():
                    return
                batch = self._take_batch()
                self._is_reporting = True
                takes_more = not self._stopping.is_set() and batch[0].session is self._session
                reserved = self._reserve() if takes_more else 0
            try:
                reserved = self._deliver(batch, reserved)
            finally:
                with self._lock:
                    self._is_reporting = False
                    self._held.difference_update(batch)
                    self._may_stop.notify_all()
                    self._may_poll.notify_all()
                self._release_slots(reserved)

    def _take_batch(self) -> list:
        """From the front what one report can carry: of one session, within the server's limits."""
        batch: list = []
        size = 0
        while self._finished and len(batch) < MAX_BATCH:
            attempt = self._finished[0]
            size += len(attempt.report.encode()) + 1_024
            if batch and (size > MAX_REPORT_BYTES or attempt.session is not batch[0].session):
                break
            batch.append(self._finished.popleft())
        return batch

    def _deliver(self, batch: list, reserved: int) -> int:
        """Reports until answered; begins what came along; says how many of the reserved slots were not needed."""
        session = batch[0].session
        request_id = str(uuid.uuid4())
        give_up_at = time.monotonic() + session.lease_s * PATIENCE_LEASES
        for failures in itertools.count(1):
            sent_at = time.monotonic()
            # At each try: tokens may have been renewed.
            items = ",".join(f"{_dumps(attempt.proof())[:-1]},{attempt.report[1:]}" for attempt in batch)
            claim = f',"claim":{{"max":{reserved}}}' if reserved else ""
            body = f'{{"request_id":"{request_id}","reports":[{items}]{claim}}}'
            try:
                answer = self._http.call("POST", "/v1/tasks/report", body, session.token)
            except SkeinError as error:
                _tell(logging.WARNING, f"the report did not get through: {error}", reports=len(batch))
                self._heed(session, error)
                is_one_of_many = len(batch) > 1 and not error.forgotten
                may_be_one_item = is_one_of_many and error.code == "INTERNAL" and failures >= SPLIT_AFTER
                if error.transient and not may_be_one_item:
                    pause = max(_pause_after(failures), error.retry_after)
                    if time.monotonic() + pause <= give_up_at and not self._closed.wait(pause):
                        continue
                elif is_one_of_many:
                    half = (len(batch) + 1) // 2
                    with self._lock:
                        self._finished.extendleft(reversed(batch[half:]))
                    del batch[half:]
                    continue
                elif not error.forgotten and not batch[0].is_refusal:
                    _refuse(batch[0], error)
                    continue
                for attempt in batch:
                    _tell(logging.ERROR, f"the outcome is given up: {error}", **attempt.fields())
                return reserved
            # No longer kept: a heartbeat would only hear that it is over.
            with self._lock:
                self._held.difference_update(batch)
            for attempt, result in zip(batch, answer.get("reports") or []):
                told = result.get("result", "unanswered")
                level = logging.INFO if told in ("accepted", "duplicate") else logging.WARNING
                detail = f" ({result['message']})" if result.get("message") else ""
                _tell(level, f"reported: {told}{detail}", **attempt.fields())
            return self._begin(session, answer.get("tasks") or [], sent_at, reserved)
        raise AssertionError("unreachable")

    # Keeping leases

    def _beat_loop(self) -> None:
        while not self._closed.wait(TICK_S):
            now = time.monotonic()
            with self._lock:
                session = self._session
                held = [attempt for attempt in self._held if attempt.session is session]
                due = [
                    attempt for attempt in held
                    # A first heartbeat keeps its time: most attempts are over before it, and cost no request at all.
                    if attempt.due_at - (0 if attempt.is_new else attempt.lease_s * TOGETHER_SHARE) <= now
                ]  # fmt: skip
                if session is None or not any(attempt.due_at <= now for attempt in due):
                    continue
            for chunk in _beats(due):
                self._beat(session, chunk)

    def _beat(self, session: _Session, leases: list) -> None:
        sent_at = time.monotonic()
        notes = [attempt.note for attempt in leases]
        proofs = [_dumps(attempt.proof()) for attempt in leases]
        items = [f'{proof[:-1]},"progress":{note}}}' if note else proof for proof, note in zip(proofs, notes)]
        # An answer that comes after the fence is as good as none.
        until_fence = min(attempt.fence_at for attempt in leases) - sent_at
        within = min(min(attempt.lease_s for attempt in leases) / BEATS_PER_LEASE, until_fence)
        body = f'{{"leases":[{",".join(items)}]}}'
        try:
            within = max(MIN_ANSWER_S, min(ANSWER_WITHIN_S, within))
            answer = self._http.call("POST", "/v1/tasks/heartbeat", body, session.token, within)
            states = [one.get("state") for one in answer.get("leases") or []]
        except SkeinError as error:
            _tell(logging.WARNING, f"no answer to a heartbeat: {error}", agent_id=session.agent_id)
            self._heed(session, error)
            states = []
            if not error.transient:
                # A note may be what the server refuses; it is worth less than the lease.
                notes = [None] * len(notes)
                for attempt in leases:
                    attempt.note = None
        with self._lock:
            for n, attempt in enumerate(leases):
                if attempt not in self._held:
                    continue
                state = states[n] if len(states) == len(leases) else None
                if state == "ok":
                    attempt.confirm(sent_at)
                    if attempt.note is notes[n]:
                        attempt.note = None
                    else:
                        attempt.hurry()
                elif state in ("lost", "cancel"):
                    self._held.discard(attempt)
                    # What has returned already is decided by the answer to its report.
                    if not attempt.is_ended:
                        self._give_up(attempt, state)
                else:
                    attempt.due_at = time.monotonic() + max(attempt.lease_s * BEAT_RETRY_SHARE, MIN_BEAT_RETRY_S)

    def _clock_loop(self) -> None:
        """What time brings about: timeouts, leases nobody has confirmed, handlers that do not stop."""
        while not self._done.wait(TICK_S):
            now = time.monotonic()
            with self._lock:
                for attempt in list(self._running):
                    if attempt.is_ended:
                        self._name_stubborn(attempt, now)
                    elif now - attempt.begun_at >= attempt.ctx.timeout:
                        message = f"The handler did not return within {attempt.ctx.timeout:g} s"
                        _tell(logging.WARNING, message, **attempt.fields())
                        self._finish(attempt, {"outcome": "failed", "error": {"code": "timeout", "message": message}})
                        self._stop_handler(attempt, "timeout")
                    elif now >= attempt.fence_at:
                        self._give_up(attempt, "silent")

    def _name_stubborn(self, attempt: _Attempt, now: float) -> None:
        if attempt.stopped_at is None or attempt.was_named or now - attempt.stopped_at < HEED_WITHIN_S:
            return
        attempt.was_named = True
        message = "the handler does not heed ctx.cancelled; its slot stays taken until it returns"
        _tell(logging.WARNING, message, **attempt.fields())


def _by_capability(executors: Sequence[_Executor]) -> dict:
    known: dict = {}
    for made in executors:
        if known.setdefault(made.capability, made) is not made:
            raise SkeinError(
                "CAPABILITY_CONFLICT", f'Two executors perform "{made.capability}"; leave one of them out.'
            )
    if not known:
        raise SkeinError("CAPABILITY_INVALID", "There is no executor to run; decorate one with @skein.executor(…).")
    return known


def _failure(thrown: BaseException) -> dict:
    """Only a TaskError chooses its code, and only a NonRetryableError is final."""
    try:
        message = _cut(thrown, MAX_ERROR_MESSAGE) or type(thrown).__name__
        if not isinstance(thrown, TaskError):
            return {"code": "HANDLER_FAILED", "message": _cut(f"{type(thrown).__name__}: {message}", MAX_ERROR_MESSAGE)}
        failure: dict = {"code": _cut(thrown.code, MAX_ERROR_CODE) or "HANDLER_FAILED", "message": message}
        if isinstance(thrown, NonRetryableError):
            failure["retryable"] = False
        if isinstance(thrown, RetryAfterError) and math.isfinite(thrown.seconds):
            failure["retry_after_ms"] = max(0, round(thrown.seconds * 1000))
        return failure
    except Exception:  # noqa: BLE001 - anything can be raised
        return {"code": "HANDLER_FAILED", "message": "The handler raised something that cannot be read"}


def _refuse(attempt: _Attempt, error: SkeinError) -> None:
    """What is said instead of an outcome that the server refused: without output, effects and logs, likely to blame."""
    message = _cut(f"The server refused the report: {error}", MAX_ERROR_MESSAGE)
    attempt.is_refusal = True
    attempt.report = _dumps(
        {"outcome": "failed", "error": {"code": error.code, "message": message, "retryable": False}}
    )


def _beats(leases: list) -> Iterator[list]:
    """Chunks for one heartbeat each: not too many leases, and not too many notes."""
    chunk: list = []
    chars = 0
    for attempt in leases:
        size = len(attempt.note or "")
        if chunk and (len(chunk) == MAX_BATCH or chars + size > MAX_PROGRESS_OF_A_BEAT):
            yield chunk
            chunk, chars = [], 0
        chunk.append(attempt)
        chars += size
    if chunk:
        yield chunk


def _chunks(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _agent_path(session: _Session) -> str:
    return f"/v1/agents/{urllib.parse.quote(session.agent_id, safe='')}"


def _now() -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _tell(level: int, message: str, /, **fields: Json) -> None:
    if log.isEnabledFor(level):
        log.log(level, "%s %s", message, json.dumps(fields, ensure_ascii=False, default=str) if fields else "")


# --- running ----------------------------------------------------------------------------------------------------------


def start(
    *handlers: Handler,
    url: Optional[str] = None,
    api_key: Optional[str] = None,
    slots: Optional[int] = None,
    name: Optional[str] = None,
    labels: Optional[dict] = None,
    version: Optional[str] = None,
    drain: Optional[float] = None,
    health_file: Optional[str] = None,
) -> Agent:
    """
    Starts an agent and returns once it is registered; `agent.stop()` ends it. Waits for a server that is away; raises
    the SkeinError for what waiting cannot cure (UNAUTHENTICATED, CONFIG_INVALID, …). Without handlers it performs all
    that were decorated. Settings that are not given come from the environment: SKEIN_URL (http://127.0.0.1:8080),
    SKEIN_API_KEY, SKEIN_SLOTS (16), SKEIN_AGENT_NAME (host and process), SKEIN_DRAIN_MS (20000; `drain` is in seconds),
    SKEIN_HEALTH_FILE (touched whenever the server answers).
    """
    given = {"url": url, "api_key": api_key, "slots": slots, "name": name, "labels": labels, "version": version,
             "drain": drain, "health_file": health_file}  # fmt: skip
    agent = _agent_of(handlers, given)
    agent._start()
    while (news := agent._news.get()) != "registered":
        if isinstance(news, SkeinError):
            agent.stop()
            raise news
    return agent


# --- the REST API -----------------------------------------------------------------------------------------------------

LIST_PAGE = 100
# Between looks at a run that is waited for.
FIRST_LOOK_S = 0.05
LAST_LOOK_S = 1.0
ENDED = ("completed", "failed", "cancelled")


class Client:
    """
    What programs ask of a server, with a key of the scopes that it takes (docs/: runs, budgets, schedules, flow-control, cache,
    dead-letters). Answers are the parsed JSON of the REST API; what cannot be raises the SkeinError with its code. Lists are
    iterators over all pages. While the server is away, what is safe to repeat is asked again for `patience` seconds.
    """

    def __init__(self, url: Optional[str] = None, api_key: Optional[str] = None, patience: float = ANSWER_WITHIN_S):
        self._http = _Http(url or os.environ.get("SKEIN_URL") or "http://127.0.0.1:8080")
        self._key = api_key or os.environ.get("SKEIN_API_KEY")
        self._patience = patience
        self.runs = Runs(self)
        self.schedules = Schedules(self)
        self.limits = Limits(self)
        self.cache = Cache(self)
        self.dead_letters = DeadLetters(self)

    def register(self, definition: dict) -> dict:
        """Registers a workflow; the same content is the same version."""
        return self._post("/v1/workflows", definition)

    def spend(
        self, by: str = "workflow", since: Optional[str] = None, until: Optional[str] = None, limit: int = 100
    ) -> list:
        """What attempts have spent, summed by workflow, agent, run, capability or namespace, the dearest first."""
        return self._get("/v1/spend", {"by": by, "since": since, "until": until, "limit": limit})["data"]

    def _get(self, path: str, query: Optional[dict] = None) -> Json:
        return self._ask("GET", path + _query(query or {}))

    def _list(self, path: str, query: dict) -> Iterator[dict]:
        cursor = None
        while True:
            page = self._get(path, {"limit": LIST_PAGE, **query, "cursor": cursor})
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _post(self, path: str, body: Json, key: Optional[str] = None, once: bool = False) -> Json:
        return self._ask("POST", path, body, {"Idempotency-Key": key} if key else None, once=once)

    def _ask(
        self, method: str, path: str, body: Json = None, extra: Optional[dict] = None, once: bool = False, wait: float = 0
    ) -> Json:
        """`once`: repeating it could do something twice, or hide that it was done, so a lost answer is an error."""
        text = None if body is None else _dumps(body)

        def ask() -> Json:
            within = wait + ANSWER_WITHIN_S
            return self._http.call(method, path, text, self._key, within, repeatable=not once, extra=extra)

        return ask() if once else _until_answered(ask, self._patience)


class Runs:
    """`client.runs`: what runs come to, and what may be done with them."""

    def __init__(self, client: Client):
        self._client = client

    def submit(
        self,
        workflow: Optional[str] = None,
        definition: Optional[dict] = None,
        inputs: Optional[dict] = None,
        labels: Optional[dict] = None,
        priority: Optional[int] = None,
        budget: Optional[dict] = None,
        idempotency_key: Optional[str] = None,
        wait: int = 0,
    ) -> dict:
        """Starts a workflow, by `name` or `name@3` or whole; answers when it has ended, or after `wait` seconds (at most 30)."""
        body = _given(
            workflow=workflow, definition=definition, inputs=inputs, labels=labels, priority=priority, budget=budget
        )
        extra = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if wait:
            extra["Prefer"] = f"wait={wait}"
        return self._client._ask("POST", "/v1/runs", body, extra, wait=wait)

    def get(self, run: str) -> dict:
        return self._client._get(_at("/v1/runs", run))

    def list(self, **filter: Json) -> Iterator[dict]:
        """The newest first: by `status`, `workflow`, `schedule`, `label` ("key=value"), `created_after`, …; several in a list."""
        return self._client._list("/v1/runs", filter)

    def wait(self, run: str, within: float = 60) -> dict:
        """Its result (`status`, `outputs`, `error`) once it has ended; raises RUN_NOT_FINISHED when it has not in time."""
        until = time.monotonic() + within
        pause = FIRST_LOOK_S
        while (result := self._client._get(_at("/v1/runs", run, "result")))["status"] not in ENDED:
            if time.monotonic() + pause > until:
                raise SkeinError("RUN_NOT_FINISHED", f"Run {run} is {result['status']} after {within} s; wait for longer.")
            time.sleep(pause)
            pause = min(2 * pause, LAST_LOOK_S)
        return result

    def tasks(self, run: str, status: Optional[str] = None) -> Iterator[dict]:
        return self._client._list(_at("/v1/runs", run, "tasks"), {"status": status})

    def why(self, run: str, task: str) -> dict:
        """Why a task is where it is, the decisive reason first."""
        return self._client._get(_at("/v1/runs", run, "tasks", task, "why"))

    def cancel(self, run: str, reason: Optional[str] = None) -> dict:
        return self._client._post(_at("/v1/runs", run, "cancel"), _given(reason=reason))

    def pause(self, run: str, reason: Optional[str] = None) -> dict:
        return self._client._post(_at("/v1/runs", run, "pause"), _given(reason=reason))

    def resume(self, run: str, reason: Optional[str] = None) -> dict:
        return self._client._post(_at("/v1/runs", run, "resume"), _given(reason=reason))

    def retry(
        self,
        run: str,
        tasks: Optional[list] = None,
        budget: Optional[dict] = None,
        idempotency_key: Optional[str] = None,
    ) -> dict:
        """A new run of what did not complete, and of `tasks` with what depends on them; with another `budget`, if given."""
        body = {**_given(budget=budget), **({} if tasks is None else {"from": tasks})}
        return self._client._post(_at("/v1/runs", run, "retry"), body, idempotency_key or str(uuid.uuid4()))

    def budget(self, run: str) -> dict:
        """What it may spend, and has."""
        return self._client._get(_at("/v1/runs", run, "budget"))

    def change_budget(self, run: str, **change: Json) -> dict:
        """New limits (`tokens`, `cost`, `calls`, `wall_time`, `on_exhausted`) of the run or of a `task`; what waited goes on."""
        return self._client._ask("PATCH", _at("/v1/runs", run, "budget"), change)

    def bulk(self, action: str, filter: dict, expected: Optional[int] = None, all: bool = False, **more: Json) -> dict:
        """
        Cancels, retries, pauses or resumes all runs of a filter, to the end. `dry_run=True` counts them (`matched`) and changes
        nothing; `expected` is that number, or else `all`.
        """
        body = {"action": action, "filter": filter, **_given(expected=expected, all=all or None), **more}
        total = self._client._post("/v1/runs/bulk", body, once=True)
        while total["next_cursor"] is not None:
            part = self._client._post("/v1/runs/bulk", {**body, "cursor": total["next_cursor"]})
            for count in ("done", "skipped", "failed", "runs"):
                total[count] += part[count]
            total["next_cursor"] = part["next_cursor"]
        return total


class Schedules:
    """`client.schedules`: workflows that are run at the times of a calendar."""

    def __init__(self, client: Client):
        self._client = client

    def create(self, name: str, cron: str, workflow: str, **more: Json) -> dict:
        """`more`: `timezone`, `inputs`, `tick_input`, `overlap`, `catch_up`, …; the same one again is answered as it is."""
        return self._client._post("/v1/schedules", {"name": name, "cron": cron, "workflow": workflow, **more})

    def get(self, name: str) -> dict:
        return self._client._get(_at("/v1/schedules", name))

    def list(self, workflow: Optional[str] = None) -> Iterator[dict]:
        return self._client._list("/v1/schedules", {"workflow": workflow})

    def update(self, name: str, if_revision: Optional[int] = None, **change: Json) -> dict:
        """What is not given stays, None takes away; raises SCHEDULE_CONFLICT if it is not at `if_revision` any more."""
        extra = None if if_revision is None else {"If-Match": f'"{if_revision}"'}
        return self._client._ask("PATCH", _at("/v1/schedules", name), change, extra, once=if_revision is not None)

    def pause(self, name: str, reason: Optional[str] = None) -> dict:
        return self._client._post(_at("/v1/schedules", name, "pause"), _given(reason=reason))

    def resume(self, name: str) -> dict:
        return self._client._post(_at("/v1/schedules", name, "resume"), {})

    def delete(self, name: str) -> None:
        self._client._ask("DELETE", _at("/v1/schedules", name), once=True)

    def ticks(self, name: str, outcome: Optional[str] = None) -> Iterator[dict]:
        """What became of its ticks, the newest first."""
        return self._client._list(_at("/v1/schedules", name, "ticks"), {"outcome": outcome})

    def backfill(self, name: str, start: str, end: Optional[str] = None) -> dict:
        """Fires the ticks from `start` on, and before `end`, that have not been fired. Safe to repeat."""
        return self._client._post(_at("/v1/schedules", name, "backfill"), {"from": start, **_given(to=end)})

    def preview(self, cron: str, timezone: str = "UTC", count: int = 10) -> list:
        """When a cron expression fires next."""
        body = {"cron": cron, "timezone": timezone, "count": count}
        return self._client._post("/v1/schedules/preview", body)["data"]


class Limits:
    """`client.limits`: how many tasks of a key run at once, and start in a period."""

    def __init__(self, client: Client):
        self._client = client

    def list(self) -> Iterator[dict]:
        return self._client._list("/v1/limits", {})

    def get(self, key: str) -> dict:
        return self._client._get(_at("/v1/limits", key))

    def set(self, key: str, concurrency: Optional[int] = None, rate: Optional[dict] = None) -> dict:
        """In place of what definitions say, from the next claim; `rate` is such as {"limit": 600, "per": "1m"}."""
        return self._client._ask("PUT", _at("/v1/limits", key), _given(concurrency=concurrency, rate=rate))

    def remove(self, key: str) -> None:
        self._client._ask("DELETE", _at("/v1/limits", key), once=True)

    def pause(self, key: str, reason: Optional[str] = None) -> dict:
        """Nothing new starts under the key; `@capability:<name>` is all of a capability, `@namespace` everything."""
        return self._client._post(_at("/v1/limits", key, "pause"), _given(reason=reason))

    def resume(self, key: str) -> dict:
        return self._client._post(_at("/v1/limits", key, "resume"), {}, once=True)


class Cache:
    """`client.cache`: outputs that answer for equal tasks."""

    def __init__(self, client: Client):
        self._client = client

    def stats(self) -> list:
        """By capability and version: `outputs`, `bytes`, `hits`."""
        return self._client._get("/v1/cache")["data"]

    def clear(self, capability: Optional[str] = None, version: Optional[str] = None, run: Optional[str] = None) -> int:
        """Forgets all of the namespace, or what fits; how many outputs there were."""
        query = _query({"capability": capability, "version": version, "run": run})
        return self._client._ask("DELETE", f"/v1/cache{query}", once=True)["cleared"]


class DeadLetters:
    """`client.dead_letters`: tasks that failed for good though an agent was at them."""

    def __init__(self, client: Client):
        self._client = client

    def list(self, **filter: Json) -> Iterator[dict]:
        """The newest first: by `workflow`, `capability`, `code`, `run`, `since`; open ones unless `state` says otherwise."""
        return self._client._list("/v1/dead-letters", filter)

    def get(self, letter: str) -> dict:
        """With its attempts."""
        return self._client._get(_at("/v1/dead-letters", letter))

    def redrive(self, letter: str) -> dict:
        """The run that does its work again; the same one when asked again."""
        return self._client._post(_at("/v1/dead-letters", letter, "redrive"), {})

    def redrive_many(self, **filter: Json) -> dict:
        """The newest open ones of a filter as in `list`, which is needed: the new runs, those refused, whether there are more."""
        return self._client._post("/v1/dead-letters/redrive", filter, once=True)

    def discard(self, letter: str, reason: Optional[str] = None) -> dict:
        return self._client._post(_at("/v1/dead-letters", letter, "discard"), _given(reason=reason))

    def discard_many(self, **filter: Json) -> dict:
        return self._client._post("/v1/dead-letters/discard", filter, once=True)


def _given(**body: Json) -> dict:
    return {key: value for key, value in body.items() if value is not None}


def _at(path: str, *parts: str) -> str:
    return "/".join([path, *(urllib.parse.quote(part, safe="") for part in parts)])


def _query(values: dict) -> str:
    text = urllib.parse.urlencode(_given(**values), doseq=True)
    return f"?{text}" if text else ""


# --- conversations ----------------------------------------------------------------------------------------------------

PRESENCE_S = 10.0


class Turn:
    """Something that a conversation, or one of its members (`sender`), says to a member."""

    def __init__(self, conversation: str, type: str, said: dict):
        self.conversation = conversation
        self.protocol: str = said["protocol"]
        self.sender: Optional[str] = said["from"]
        self.type = type
        self.body: dict = said["body"]
        # What may be answered, and by when (epoch milliseconds); None: it is only told.
        self.expects: Optional[dict] = said["expects"]

    def __repr__(self) -> str:
        return f"Turn({self.protocol}, {self.type}, {self.body})"


def participate(
    name: str,
    speak: Callable[[Turn], Union[None, dict, list]],
    url: Optional[str] = None,
    api_key: Optional[str] = None,
    stop: Optional[threading.Event] = None,
    on_refused: Optional[Callable[[SkeinError, Turn], None]] = None,
) -> None:
    """
    Takes part in conversations as an agent of its own, until `stop` is set: whenever something is said to it, `speak` is
    asked what it says to that, as `{"type": ..., "body": {...}}`, a list of these, or None. A turn that comes again after a
    crash is answered under the same id, so nothing is said twice. What else comes to the inbox is left there.
    """
    stop = threading.Event() if stop is None else stop
    http = _Http(url or os.environ.get("SKEIN_URL") or "http://127.0.0.1:8080")
    key = api_key or os.environ.get("SKEIN_API_KEY")
    made = _dumps({"name": name, "kind": "external", "capabilities": []})
    agent = _until_answered(lambda: http.call("POST", "/v1/agents", made, key), ANSWER_WITHIN_S)
    own = f"/v1/agents/{urllib.parse.quote(agent['id'], safe='')}"

    def call(method: str, path: str, body: Optional[Json] = None, within: float = ANSWER_WITHIN_S) -> Json:
        text = None if body is None else _dumps(body)
        ask = lambda: http.call(method, path, text, agent["agent_token"], within)  # noqa: E731
        return _until_answered(ask, PARTICIPATE_WITHIN_S, stop)

    def take_part() -> None:
        page = call("GET", f"{own}/inbox?wait=5&limit=100", within=5 + ANSWER_WITHIN_S)
        turns = [(message["id"], turn) for message in page["messages"] if (turn := _turn_of(message))]
        for message_id, turn in turns:
            said = speak(turn)
            for n, speech in enumerate([] if said is None else said if isinstance(said, list) else [said]):
                path = f"/v1/conversations/{turn.conversation}/messages"
                try:
                    call("POST", path, {**speech, "id": f"{message_id}.{n}"})
                except SkeinError as error:
                    if not error.code.startswith("CONVERSATION_"):
                        raise
                    if on_refused:
                        on_refused(error, turn)
            call("POST", f"{own}/inbox/ack", {"ids": [message_id]})
        if page["messages"] and not turns:
            stop.wait(1)  # What is left there would be answered at once, again and again.

    def be_present() -> None:
        while not stop.wait(PRESENCE_S):
            try:
                call("POST", f"{own}/heartbeat", {})
            except SkeinError as error:
                log.warning("presence: %s", error)

    threading.Thread(target=be_present, name="skein-presence", daemon=True).start()
    while not stop.is_set():
        try:
            take_part()
        except SkeinError:
            if not stop.is_set():
                raise
    _until_answered(lambda: http.call("DELETE", own, None, agent["agent_token"]), ANSWER_WITHIN_S)


def _turn_of(message: dict) -> Optional[Turn]:
    said = message["body"]
    is_said = message["from"]["kind"] == "system" and message["conversation"] and isinstance(said, dict)
    return Turn(message["conversation"], message["type"], said) if is_said and "protocol" in said else None


def run(*handlers: Handler, **settings: Any) -> None:
    """
    Runs an agent until SIGTERM or SIGINT, then drains it; a second signal exits at once. Takes and raises what `start`
    does. To be called from the main thread.
    """
    agent = _agent_of(handlers, settings)

    def on_signal(number: int, _frame: Any) -> None:
        agent._news.put(number)
        # A second one does not wait.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: os._exit(1))

    before = {name: signal.signal(name, on_signal) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        agent._start()
        while not isinstance(news := agent._news.get(), int):
            if isinstance(news, SkeinError):
                raise news
    finally:
        agent.stop()
        for name, handler in before.items():
            signal.signal(name, handler)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """
    The command line: `python3 skein.py my_executors.py …` loads these files (or modules) and runs what they define;
    called from a file of your own without arguments, it runs what was defined there. Exits 0 after a drain, 1 when the
    server refuses, 2 when it was called wrongly.
    """
    parser = argparse.ArgumentParser(description="Runs Skein executors written in Python.")
    parser.add_argument("source", nargs="*", help="a file or module that defines executors")
    parser.add_argument("--url", help="the server; default SKEIN_URL, then http://127.0.0.1:8080")
    parser.add_argument("--slots", type=int, help="how many handlers run at once; default SKEIN_SLOTS, then 16")
    parser.add_argument("--name", help="the agent's name; default SKEIN_AGENT_NAME, then host and process")
    arguments = parser.parse_args(argv)
    level = os.environ.get("LOG_LEVEL") or "info"
    known = {"trace": "DEBUG", "debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR"}
    logging.basicConfig(level=known.get(level, "CRITICAL"), format="%(asctime)s %(levelname)s %(message)s")
    try:
        for source in arguments.source:
            _load(source)
        run(url=arguments.url, slots=arguments.slots, name=arguments.name)
    except SkeinError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if error.code in ("CONFIG_INVALID", "CAPABILITY_INVALID", "CAPABILITY_CONFLICT") else 1)


def _load(source: str) -> None:
    path = pathlib.Path(source)
    if not source.endswith(".py"):
        importlib.import_module(source)
        return
    if not path.is_file():
        raise SkeinError("CONFIG_INVALID", f"There is no file {source}; name a file or module that defines executors.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    sys.path.insert(0, str(path.parent.resolve()))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)


def _agent_of(handlers: Iterable[Handler], given: dict) -> Agent:
    chosen = [_executor_of(handler) for handler in handlers] or list(_defined)
    return Agent(chosen, _settings(given))


MAX_SLOTS = 100_000
MAX_NAME_CHARS = 128


def _settings(given: dict) -> dict:
    """Given ones first, then the environment; empty variables count as unset. Names every wrong one at once."""
    flaws: list = []

    def number(setting: str, variable: str, default: int, least: int, most: int) -> int:
        value = given.get(setting)
        text = str(default if not os.environ.get(variable) else os.environ[variable]) if value is None else str(value)
        if text.strip().isdigit() and least <= int(text) <= most:
            return int(text)
        flaws.append(f"{variable} ({setting}) must be a whole number from {least} to {most:,}, not {text!r}")
        return default

    settings = {
        "url": given.get("url") or os.environ.get("SKEIN_URL") or "http://127.0.0.1:8080",
        "api_key": given.get("api_key") or os.environ.get("SKEIN_API_KEY"),
        "slots": number("slots", "SKEIN_SLOTS", 16, 1, MAX_SLOTS),
        "name": given.get("name") or os.environ.get("SKEIN_AGENT_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        "labels": given.get("labels"),
        "version": given.get("version"),
        "health_file": given.get("health_file") or os.environ.get("SKEIN_HEALTH_FILE"),
    }
    drain = given.get("drain")
    settings["drain"] = number("drain_ms", "SKEIN_DRAIN_MS", 20_000, 0, 2**31 - 1) / 1000 if drain is None else drain
    if len(settings["name"]) > MAX_NAME_CHARS:
        flaws.append(f"SKEIN_AGENT_NAME (name) must have at most {MAX_NAME_CHARS} characters")
    if flaws:
        raise SkeinError("CONFIG_INVALID", "; ".join(flaws))
    return settings


if __name__ == "__main__":
    # As the module that executors import, not as a second copy of it.
    sys.path.insert(0, str(pathlib.Path(__file__).parent.resolve()))
    importlib.import_module("skein").main()
