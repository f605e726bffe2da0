"""The capabilities that the conformance kit asks for, in Python; docs/certify.md says what each of them does."""

import json
import os
import signal
import urllib.request

import skein

TEXT = {"type": "string"}


def note(ctx, event):
    """Tells the kit, and waits until it knows."""
    body = {"event": event, "attempt": ctx.attempt, "idempotency_key": ctx.idempotency_key}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(ctx.input["note_url"], json.dumps(body).encode(), headers)
    urllib.request.urlopen(request).close()


@skein.executor(capability="certify.echo")
def echo(ctx, input):
    return input


@skein.executor(
    capability="certify.sleep",
    input_schema={"type": "object", "required": ["ms", "note_url"], "properties": {"note_url": TEXT}},
)
def sleep(ctx, input):
    note(ctx, "started")
    try:
        ctx.sleep(input["ms"] / 1000)
    except skein.Cancelled:
        note(ctx, "stopped")
        raise
    note(ctx, "finished")
    return {"slept_ms": input["ms"]}


@skein.executor(capability="certify.fail")
def fail(ctx, input):
    if input.get("retryable") is False:
        raise skein.NonRetryableError(input["message"], code=input["code"])
    if "retry_after_ms" in input:
        raise skein.RetryAfterError(input["message"], input["retry_after_ms"] / 1000, code=input["code"])
    raise skein.TaskError(input["message"], code=input["code"])


@skein.executor(capability="certify.big")
def big(ctx, input):
    return {"text": "x" * input["bytes"]}


@skein.executor(
    capability="certify.invalid",
    output_schema={"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
)
def invalid(ctx, input):
    return {"n": "three"}


@skein.executor(capability="certify.crash")
def crash(ctx, input):
    note(ctx, "effect")
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": ctx.attempt}


if __name__ == "__main__":
    skein.main()
