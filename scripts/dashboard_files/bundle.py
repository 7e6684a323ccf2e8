"""The page's modules as one script and its styles as one, for the server and for the report: one request each.

The modules keep two habits for it: each import is one line, and a name is used by one module alone.
"""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parent / "page"
UPLOT = pathlib.Path(__file__).resolve().parent / "uplot"


def script():
    """uPlot and the modules, in the order in which they need each other, without import and export."""
    texts, done = [], set()

    def add(name):
        if name in done:
            return
        done.add(name)
        text = (PAGE / name).read_text()
        for needed in re.findall(r'^import .* from "\./([a-z_]+\.js)";$', text, re.MULTILINE):
            add(needed)
        text = re.sub(r"^import .*\n", "", text, flags=re.MULTILINE)
        texts.append(f"// {name}\n" + re.sub(r"^export ", "", text, flags=re.MULTILINE))

    add("main.js")
    return (UPLOT / "uPlot.iife.min.js").read_text() + '\n(() => {\n"use strict";\n' + "\n".join(texts) + "\n})();"


def style():
    return (UPLOT / "uPlot.min.css").read_text() + "\n" + (PAGE / "dashboard.css").read_text()
