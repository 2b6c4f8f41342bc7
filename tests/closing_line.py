"""Adds up the results of several pytest runs: `python tests/closing_line.py RESULT.xml…` prints one closing line."""

import sys
from xml.etree import ElementTree


def add_up(paths: list[str]) -> tuple[int, int, int]:
    """Returns how many tests passed, failed (errors too) and were skipped, over JUnit files."""
    tests = failed = skipped = 0
    for path in paths:
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            tests += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    return tests - failed - skipped, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = add_up(sys.argv[1:])
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    raise SystemExit(0 if passed and not failed else 1)
