"""
The same member in Python:
SKEIN_URL=http://127.0.0.1:8080 PYTHONPATH=clients/python python3 examples/conversations/member.py eve 1 north
"""
import signal
import sys
import threading

import skein

name, cost, opinion = sys.argv[1], float(sys.argv[2]), sys.argv[3]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())


def speak(turn: skein.Turn):
    if turn.type == "call":
        if "options" in turn.body or "method" in turn.body:
            return {"type": "vote", "body": {"choice": opinion}}
        return {"type": "bid", "body": {"cost": cost}}
    if turn.type == "award":
        return {"type": "result", "body": {"content": f"{name} has done: {turn.body['topic']}"}}
    if turn.type == "turn":
        return {"type": "statement", "body": {"content": f"{name} says {opinion}.", "position": opinion}}
    if turn.type == "request":
        return {"type": "reply", "body": {"content": opinion}}
    return None


# The main thread waits for signals; a call that waits for an answer would keep them back.
talking = threading.Thread(target=skein.participate, args=(name, speak), kwargs={"stop": stop})
talking.start()
while talking.is_alive():
    talking.join(0.2)
