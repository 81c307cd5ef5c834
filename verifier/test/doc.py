#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of rules in doc/verifier.md is that of rules.def."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
rules = re.findall(r'^RULE\((\w+), "(.*?)", "(.*?)"\)', (root / "verifier/rules.def").read_text(), re.M)
want = [f"| {name} | {section} | {text} |" for name, section, text in rules]
text = (root / "doc/verifier.md").read_text()
table = re.search(r"^\| rule \| section .*\n\|---.*\n((?:\|.*\n)+)", text, re.M)
got = table.group(1).splitlines() if table else []
for row in sorted(set(want) ^ set(got)):
    print("doc/verifier.md:", "missing" if row in want else "not in rules.def", row)
ok = bool(rules) and want == got
print(f"verifier-doc: {int(ok)} passed, {int(not ok)} failed")
sys.exit(not ok)
