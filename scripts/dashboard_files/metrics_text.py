"""Joins the OpenMetrics texts of several databases: each family must be in one piece, no sample stands twice
(walmanager_build_info is of no database), and # EOF comes at the end."""


import os
import re


def up(databases):
    """walmanager_up of each (path, whether its numbers could be read). The label is the same as in the other families."""
    lines = ["# TYPE walmanager_up gauge", "# HELP walmanager_up 1 where the numbers of the database could be read, 0 where the dashboard's page says why not."]
    for path, could in databases:
        label = os.fsencode(os.path.realpath(path)).decode("utf-8", "backslashreplace")
        label = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode()), label)
        label = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'walmanager_up{{database="{label}"}} {int(could)}')
    return "\n".join([*lines, "# EOF", ""])


def merged(texts):
    if len(texts) == 1:
        return texts[0]
    families = {}  # name: (its # lines, its samples); dicts keep the order
    for text in texts:
        family = None
        for line in text.splitlines():
            if line == "# EOF" or not line:
                continue
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                family = families.setdefault(name, ({}, {}))
                family[0][line] = True
            elif family:
                family[1][line] = True
    lines = [line for heads, samples in families.values() for line in [*heads, *samples]]
    return "\n".join(lines + ["# EOF", ""])
