"""Joins the OpenMetrics texts of several databases: each family must be in one piece, no sample stands twice
(walmanager_build_info is of no database), and # EOF comes at the end."""


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
