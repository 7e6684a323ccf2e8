"""Joins the OpenMetrics texts of several databases: each family must be in one piece, and # EOF at the end."""


def merged(texts):
    if len(texts) == 1:
        return texts[0]
    families = {}  # name: (its # lines, its samples)
    for text in texts:
        family = None
        for line in text.splitlines():
            if line == "# EOF" or not line:
                continue
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                family = families.setdefault(name, ([], []))
                if line not in family[0]:
                    family[0].append(line)
            elif family:
                family[1].append(line)
    lines = [line for heads, samples in families.values() for line in heads + samples]
    return "\n".join(lines + ["# EOF", ""])
