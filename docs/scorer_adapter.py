#!/usr/bin/env python3
"""sixteen-eval verify --scorer 'python3 scorer_adapter.py SCRIPT.py': speaks docs/SCORER.md for a (PyTorch) script.

SCRIPT.py defines score(tokens) -> {"nll": nats of targets 1 .. len(tokens) - 1 (None: not scored), "total", "targets", "bytes", "bpb"}, a
complete run from the loaded weights; and, if it can, load(seed, artifact), dist(tokens, at), feed(token), order(), reset(). Lists, arrays
and tensors will do. write_shard(path, tokens) is there for scripts that only read files. What a script prints goes to stderr.
"""
import array, importlib, json, math, os, sys


def write_shard(path, tokens):
    with open(path, "wb") as f:
        f.write(array.array("i", [20240520, 1, len(tokens)] + [0] * 253).tobytes() + array.array("H", tokens).tobytes())


def plain(x):  # what JSON can say: no tensors, no infinities
    x = x.tolist() if hasattr(x, "tolist") else x
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # nothing else may get among the replies, C++ prints included
sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[1])))
script = importlib.import_module(os.path.basename(sys.argv[1]).removesuffix(".py"))
script.write_shard = write_shard
for line in sys.stdin:
    request = json.loads(line)
    op, number = request.pop("op"), request.pop("id")
    reply = {} if op == "load" else {"unsupported": True}
    if hasattr(script, op):
        result = plain(getattr(script, op)(**request))
        key = {"dist": "logp", "feed": "logp", "order": "order"}.get(op)
        reply = {key: result} if key else result or {}
    print(json.dumps({**reply, "id": number}), file=replies, flush=True)
