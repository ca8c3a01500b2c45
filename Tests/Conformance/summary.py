# SPDX-License-Identifier: Apache-2.0
"""summary.py FOLDER ROLE...: counts the verdicts of FOLDER/ROLE/index.json, by category and in all.

A case has two verdicts, on what was said and on how the connection was closed; the worse one counts. Ends with an error if
one is neither OK nor INFORMATIONAL, nor what is right for a hub.
"""
import collections
import json
import pathlib
import sys

# A hub closes for a broken frame at once, and its application's echo of the message before comes too late; the suite takes
# that as right, but not strict. It declines compression where only a smaller window would do, which the suite calls
# unimplemented.
GOOD = ("OK", "INFORMATIONAL")
OF_SERVER = {"NON-STRICT": ("3.", "4.", "5."), "UNIMPLEMENTED": ("13.3.", "13.5.")}
ORDER = ("OK", "INFORMATIONAL", "UNIMPLEMENTED", "NON-STRICT", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "FAILED")


def verdict(case):
    both = (case["behavior"], case["behaviorClose"])
    return max(both, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def is_right(role, number, name):
    return name in GOOD or (role == "server" and number.startswith(OF_SERVER.get(name, ())))


def counts(verdicts):
    tally = collections.Counter(verdicts)
    return ", ".join(f"{tally[name]} {name}" for name in (*ORDER, *sorted(set(tally) - set(ORDER))) if tally[name])


def main():
    folder, roles = pathlib.Path(sys.argv[1]), sys.argv[2:]
    is_good = True
    for role in roles:
        (cases,) = json.loads((folder / role / "index.json").read_text()).values()
        categories = collections.defaultdict(list)
        for number, case in cases.items():
            categories[int(number.split(".")[0])].append(verdict(case))
            if not is_right(role, number, verdict(case)):
                is_good = False
                print(f"  {role} {number}: {case['behavior']}, close: {case['behaviorClose']}")
        for category in sorted(categories):
            print(f"  {role} {category}.*: {counts(categories[category])}")
        print(f"{role}: {len(cases)} cases: {counts(name for names in categories.values() for name in names)}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
