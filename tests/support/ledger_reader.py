#!/usr/bin/env python3
# A second reader of ledgers, written from docs/FORMATS.md section 10 alone: chain, losses, ranges, seals, digests, totals.
#
# python3 ledger_reader.py FOLDER prints "records targets bytes bpb nats_exact" and exits 0, or says what is wrong and exits 1.
# Bites: needs no package. It knows neither model nor tokens, so bytes and updates are checked as far as records contradict each other.
import array
import hashlib
import json
import math
import sys


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read_records(path):
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    if lines[0] != b"sixteen ledger 1":
        raise ValueError("not a ledger")
    if lines[-1] != b"":
        raise ValueError("ends within a record")
    head = digest(lines[0] + b"\n")
    records = []
    for number, line in enumerate(lines[1:-1]):
        found, text = line[:64].decode(), line[65:]
        if line[64:65] != b" " or found != digest(head.encode() + text):
            raise ValueError(f"the chain breaks at record {number}")
        head = found
        records.append((json.loads(text), text))
    return records


class Walk:
    def __init__(self, records, losses):
        self.records, self.losses = records, losses
        self.scored, self.sealed, self.unsealed = set(), set(), []
        self.first_nll, self.nats, self.bytes, self.seals = 0, 0.0, 0, 0
        self.state, self.digests, self.after, self.final = None, None, None, None

    def targets(self, ranges):
        return [t for first, count in ranges for t in range(first, first + count)]

    def score(self, number, r):
        nll = self.losses[r["first_nll"] : r["first_nll"] + r["count"]]
        assert r["first_nll"] == self.first_nll and len(nll) == r["count"], "losses do not follow one another"
        assert digest(nll.tobytes()) == r["nll_sha256"], "losses have another digest"
        total = 0.0
        for loss in nll:
            total += loss
        assert total == r["nats"], "nats are not the sum of the losses"
        targets = self.targets(r["ranges"])
        assert len(targets) == r["count"] and self.scored.isdisjoint(targets), "a target is scored twice"
        assert r["state"] == self.state and r["weights"] == self.digests["weights"], "scored by another state"
        self.scored.update(targets)
        self.first_nll += r["count"]
        self.nats += r["nats"]
        self.bytes += r["bytes"]
        self.unsealed.append(number)

    def seal(self, r):
        texts = b"".join(self.records[i][1] for i in self.unsealed)
        assert r["seal"] == self.seals and r["scores"] == self.unsealed and r["sha256"] == digest(texts), "a seal of other scores"
        assert r["through"] == max(self.scored)
        self.seals += 1
        self.unsealed = []
        self.sealed = set(self.scored)

    def visit(self, number, r):
        kind = r["kind"]
        if kind == "score":
            self.score(number, r)
        elif kind == "seal":
            self.seal(r)
        elif kind == "state":
            assert self.after in (None, r["digests"]), "a state that its update did not leave"
            self.state, self.digests, self.after = number, r["digests"], None
        elif kind == "update":
            assert r["seal"] < self.seals and self.sealed.issuperset(self.targets(r["ranges"])), "trains on what is not sealed"
            assert r["before"] == self.digests, "an update of another state"
            self.after = r["after"]
        elif kind == "read" and "cache" in r:
            self.digests = dict(self.digests, cache=r["cache"])
        elif kind == "final":
            self.final = r
            assert number == len(self.records) - 1, "records behind the final one"

    def run(self):
        assert self.records[0][0]["kind"] == "open"
        for number, (r, _) in enumerate(self.records):
            try:
                self.visit(number, r)
            except AssertionError as error:
                raise ValueError(f"record {number}: {error}")
        f = self.final
        if f is None:
            raise ValueError("no final record")
        expected = [self.first_nll, self.bytes, self.nats, math.fsum(self.losses), self.nats / math.log(2) / self.bytes]
        if [f["targets"], f["bytes"], f["nats"], f["nats_exact"]] != expected[:4] or abs(f["bpb"] - expected[4]) > 1e-14 * expected[4]:
            raise ValueError(f"totals: expected {expected}")
        if self.scored != set(range(1, self.records[0][0]["targets"] + 1)) or len(self.losses) != len(self.scored):
            raise ValueError("not every target is scored")


def main(folder):
    losses = array.array("f")
    with open(folder + "/nll.f32", "rb") as file:
        losses.frombytes(file.read())
    if sys.byteorder == "big":
        losses.byteswap()
    walk = Walk(read_records(folder + "/ledger.txt"), losses)
    walk.run()
    f = walk.final
    print(len(walk.records), f["targets"], f["bytes"], repr(f["bpb"]), repr(f["nats_exact"]))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, KeyError, OSError, UnicodeDecodeError) as error:
        print(f"ledger_reader: {error!r}", file=sys.stderr)
        sys.exit(1)
