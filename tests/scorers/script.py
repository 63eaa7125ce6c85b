# A script without torch for docs/scorer_adapter.py: single tokens counted as they come, on files as a record's script would.
# PEEK=1 makes the probability depend on the next token.
import array, math, os, tempfile

VOCAB = 360


def load(seed, artifact=None):
    print("loaded", artifact)
    return {"name": "script", "vocab": VOCAB}


def score(tokens):
    path = os.path.join(tempfile.mkdtemp(), "val.bin")
    write_shard(path, tokens)  # noqa: F821, the adapter's
    with open(path, "rb") as f:
        tokens = array.array("H", f.read()[1024:])
    os.remove(path)
    os.rmdir(os.path.dirname(path))
    count, seen, nll = [1.0] * VOCAB, float(VOCAB), []
    for t in range(1, len(tokens)):
        p = count[tokens[t]] / seen
        if os.environ.get("PEEK") and t + 1 < len(tokens) and tokens[t + 1] % 2:
            p = 0.5 * p + 0.5 / VOCAB
        nll.append(-math.log(p))
        count[tokens[t]] += 1
        seen += 1
    return {"nll": nll, "total": math.fsum(nll), "targets": len(nll), "bytes": 2 * len(nll), "bpb": math.fsum(nll) / math.log(2) / 2 / len(nll)}
