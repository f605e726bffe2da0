"""Inside the sandbox of code.python: runs main(input) of main.py and answers with what it returned, or why it did not."""

# Modules that take long to load are only where they are needed.
import json
import os
import sys
import types

ANSWER_FD = 3
FOLDER = os.path.dirname(os.path.abspath(__file__))
NAME = "main.py"
MAX_VALUE_BYTES = int(sys.argv[1])
sys.argv = [NAME]


def answer(text):
    """Writes the answer and ends, whatever threads and exit handlers the code left behind."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    data = text.encode("utf-8", "surrogatepass")
    while data:
        data = data[os.write(ANSWER_FD, data) :]
    os._exit(0)


def fail(code, message):
    answer(json.dumps({"code": code, "message": message}))


def describe(error):
    """The error in a line, with the line of the code that it came from."""
    import traceback

    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == NAME]
    text = traceback.format_exception_only(error)[-1].strip()
    return f"{text} (line {lines[-1]})" if lines else text


def run():
    with open(os.path.join(FOLDER, NAME), encoding="utf-8") as file:
        source = file.read()
    with open(os.path.join(FOLDER, "input.json"), encoding="utf-8") as file:
        value = json.load(file)
    os.set_inheritable(ANSWER_FD, False)
    # Files that came along can be imported.
    sys.path[0:1] = [os.getcwd()]
    module = types.ModuleType("main")
    sys.modules["main"] = module
    try:
        program = compile(source, NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        import traceback

        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        fail("CODE_SYNTAX", traceback.format_exception_only(error)[-1].strip() + line)
    exec(program, module.__dict__)
    main = module.__dict__.get("main")
    if not callable(main):
        fail("CODE_FAILED", "The code does not define main(input)")
    result = main(value)
    if isinstance(result, types.CoroutineType):
        import asyncio

        result = asyncio.run(result)
    text = json.dumps({"value": result}, allow_nan=False)
    if len(text) > MAX_VALUE_BYTES:
        fail("CODE_OUTPUT_TOO_LARGE", f"The result has {len(text)} bytes of JSON, the limit is {MAX_VALUE_BYTES}")
    answer(text)


try:
    run()
except MemoryError:
    fail("SANDBOX_MEMORY", "The sandbox ran out of memory")
except SystemExit as error:
    fail("CODE_FAILED", f"The code exited with {error.code!r} before main returned")
except BaseException as error:
    sys.excepthook(type(error), error, error.__traceback__)
    fail("CODE_FAILED", describe(error))
