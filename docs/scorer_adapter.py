#!/usr/bin/env python3
"""Puts a PyTorch script under `sixteen-eval verify --scorer 'python3 scorer_adapter.py SCRIPT.py'` (docs/SCORER.md).

SCRIPT.py is imported once and defines
    score(tokens) -> dict       nats of targets 1 .. len(tokens) - 1 as "nll" (None: not scored), and the script's own sums:
                                "total" nats, "targets", "bytes", "bpb"; each call a complete run from the loaded weights
and may define load(seed, artifact), dist(tokens, at), feed(token), order(), reset(), whose names docs/SCORER.md explains.
Lists, arrays and tensors will do. A script that only reads a shard and prints its score: let score() write `tokens` with
write_shard() and run it with the shard's path, after a patch that dumps its per-token losses. What the script prints goes to stderr.
"""
import array, contextlib, importlib.util, json, math, os, sys


def write_shard(path, tokens):
    with open(path, "wb") as f:
        f.write(array.array("i", [20240520, 1, len(tokens)] + [0] * 253).tobytes() + array.array("H", tokens).tobytes())


def plain(x):
    x = x.tolist() if hasattr(x, "tolist") else x
    if isinstance(x, dict): return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)): return [plain(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def answer(module, op, args):
    hook = getattr(module, op, None)
    if hook is None: return {} if op == "load" else {"unsupported": True}
    result = plain(hook(**args))
    return {"dist": lambda r: {"logp": r}, "feed": lambda r: {"logp": r}, "order": lambda r: {"order": r}}.get(op, lambda r: r or {})(result)


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the script prints, C++ included, must not get among the replies
    spec = importlib.util.spec_from_file_location("scorer_script", sys.argv[1])
    module = importlib.util.module_from_spec(spec)
    module.write_shard = write_shard
    spec.loader.exec_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        op, number = request.pop("op"), request.pop("id")
        with contextlib.redirect_stdout(sys.stderr):
            reply = answer(module, op, request)
        print(json.dumps({**reply, "id": number}), file=out, flush=True)


main()
