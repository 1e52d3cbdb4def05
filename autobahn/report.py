"""Compares an Autobahn report with the expected results, and ends with one line of counts.

usage: report.py INDEX.json AGENT EXPECTED.json CASES SECONDS [--write]

EXPECTED.json is {case: [behavior, behaviorClose]}, CASES how many cases there were to run. --write makes it from the report instead, for a person to review.
Runs on the Python that the testsuite brings.
"""
from __future__ import print_function

import collections
import io
import json
import sys

KINDS = [
    ("ok", "OK"),
    ("non-strict", "NON-STRICT"),
    ("informational", "INFORMATIONAL"),
    ("failed", "FAILED"),
    ("unimplemented", "UNIMPLEMENTED"),
]


def in_order(case):
    return [int(part) for part in case.split(".")]


def main(index, agent, expected_file, count, seconds, write=None):
    with io.open(index, encoding="utf-8") as report:
        cases = json.load(report)[agent]
    got = dict((case, [result["behavior"], result["behaviorClose"]]) for case, result in cases.items())
    if write:
        lines = ['  "%s": ["%s", "%s"]' % (case, got[case][0], got[case][1]) for case in sorted(got, key=in_order)]
        with open(expected_file, "w") as file:
            file.write("{\n%s\n}\n" % ",\n".join(lines))
    with io.open(expected_file, encoding="utf-8") as file:
        expected = json.load(file)
    differences = 0
    for case in sorted(got, key=in_order):
        if got[case] != expected.get(case):
            differences += 1
            print("autobahn: case %s: %s, expected %s" % (case, got[case], expected.get(case)))
    missing = int(count) - len(got)
    if missing:
        print("autobahn: %d of %s cases have no result" % (missing, count))
    counts = collections.Counter(behavior for behavior, _ in got.values())
    failed = counts["FAILED"] + sum(counts[kind] for kind in counts if kind not in dict(KINDS).values())
    numbers = dict((name, counts[kind]) for name, kind in KINDS)
    numbers["failed"] = failed
    print(
        "autobahn: %d cases, %s, %s s"
        % (len(got), ", ".join("%d %s" % (numbers[name], name) for name, _ in KINDS), seconds)
    )
    return 1 if differences or missing or not got else 0


sys.exit(main(*sys.argv[1:]))
