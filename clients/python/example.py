"""Two executors. Run them with `python3 example.py`, and see README.md for a workflow that asks for them."""

import skein


@skein.executor(
    capability="text.count",
    input_schema={
        "type": "object",
        "required": ["text"],
        "properties": {"text": {"type": "string"}},
        "additionalProperties": False,
    },
    output_schema={"type": "object", "required": ["words"], "properties": {"words": {"type": "integer"}}},
)
def count(ctx, input):
    """Counts the words of a text."""
    words = input["text"].split()
    ctx.log.info("counted", words=len(words))
    return {"words": len(words)}


@skein.executor(capability="slow.count")
def slowly(ctx, input):
    """Counts to `to`, a step in `seconds`: tells how far it is, and stops when nobody wants it any more."""
    for n in range(1, input["to"] + 1):
        ctx.progress({"counted": n})
        ctx.sleep(input.get("seconds", 1))
    return {"counted": input["to"]}


if __name__ == "__main__":
    skein.main()
