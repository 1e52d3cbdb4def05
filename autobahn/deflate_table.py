"""Prints what gun_rs offered to the Autobahn Testsuite in its groups 13.x, and what that answered, as a table.

usage: deflate_table.py REPORTS COMPRESS...

The agents of the report are numbered as the values of the option compress are. Runs on the Python that the testsuite
brings.
"""
from __future__ import print_function

import io
import json
import re
import sys


def extensions(head):
    found = re.search(r"^sec-websocket-extensions: *permessage-deflate(?:; *)?(.*?)\s*$", head, re.M | re.I)
    if found is None:
        return "nothing"
    return "`%s`" % found.group(1) if found.group(1) else "no parameters"


def main(reports, *values):
    with io.open(reports + "/index.json", encoding="utf-8") as file:
        index = json.load(file)
    print("| group | `compress` | offered | answered | result |")
    print("|---|---|---|---|---|")
    for case in sorted(index["0"]):
        for agent, value in enumerate(values):
            with io.open("%s/%s" % (reports, index[str(agent)][case]["reportfile"]), encoding="utf-8") as file:
                report = json.load(file)
            cells = [
                ".".join(case.split(".")[:2]),
                "`%s`" % value,
                extensions(report["httpRequest"]),
                extensions(report["httpResponse"]),
                report["behavior"],
            ]
            print("| %s |" % " | ".join(cells))


main(*sys.argv[1:])
