#!/usr/bin/env python3
"""Reads valgrind's files of a folder and says what in them is ours.

Contract: ours is an error that has wawp.so or libcurl in its stack; each different one (kind and
innermost functions) is printed once with how often it came.  Exits 1 when there is one, when a file cannot
be read or when there is none.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

OURS = ("wawp.so", "libcurl")
FRAMES = 12         # printed of a stack
SAME = 6            # innermost functions that make two errors the same


def read(path):
    """The root of a file; one of a process that was killed has no end."""
    text = path.read_text(errors="replace")
    for end in ("", "</valgrindoutput>", "</error></valgrindoutput>"):
        try:
            return ElementTree.fromstring(text + end)
        except ElementTree.ParseError:
            continue
    return None


def frames(error):
    """(function, object, file:line) from the inside out, over all stacks of an error."""
    return [(frame.findtext("fn", "???"), Path(frame.findtext("obj", "?")).name,
             f"{frame.findtext('file', '?')}:{frame.findtext('line', '?')}")
            for frame in error.iter("frame")]


def is_ours(error):
    """Only the stack of the error itself counts, not where a block was allocated."""
    stack = error.find("stack")
    return any(Path(frame.findtext("obj", "")).name.startswith(OURS) for frame in stack.iter("frame"))


def describe(error):
    what = error.findtext("what") or error.findtext("xwhat/text") or "?"
    lines = [f"{error.findtext('kind')}: {what}"]
    lines += [f"    {function} ({place}, {library})" for function, library, place in frames(error)[:FRAMES]]
    return "\n".join(lines)


def main():
    files = sorted(Path(sys.argv[1]).glob("*.xml"))
    kinds, examples, others, unreadable = Counter(), {}, Counter(), []
    for path in files:
        root = read(path)
        if root is None:
            unreadable.append(path.name)
            continue
        for error in root.iterfind("error"):
            key = (error.findtext("kind"), tuple(frame[:2] for frame in frames(error)[:SAME]))
            if is_ours(error):
                kinds[key] += 1
                examples[key] = describe(error)
            else:
                others[error.findtext("kind")] += 1

    for key, count in kinds.most_common():
        print(f"\n{count} times {examples[key]}")
    print(f"\n{len(files)} processes; errors elsewhere in the server: {dict(others) or 'none'}")
    if unreadable:
        print(f"unreadable: {' '.join(unreadable)}")
    print(f"errors with wawp.so in the stack: {sum(kinds.values())}")
    return 1 if kinds or unreadable or not files else 0


if __name__ == "__main__":
    sys.exit(main())
