#!/usr/bin/env python3
"""Computes the summaries that the flow must give, without the flow: python3 expected.py < input.jsonl > expected.jsonl

Only Python's standard library. str.split() is not used for words: it also splits at U+001C to U+001F, which Unicode does not
call white space.
"""

import collections
import json
import re
import sys

# The characters with the Unicode property White_Space.
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
WORD = re.compile(f"[^{WHITE_SPACE}]+")
LETTERS = re.compile("[A-Za-z]+")


def summary(speech):
    text = speech["text"]
    counts = collections.Counter(run.lower() for run in LETTERS.findall(text) if len(run) >= 5)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
    return {
        "year": speech["year"],
        "name": speech["name"],
        "party": speech["party"],
        "words": len(WORD.findall(text)),
        "top": top,
    }


def main():
    for line in sys.stdin.buffer:
        print(json.dumps(summary(json.loads(line)), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
