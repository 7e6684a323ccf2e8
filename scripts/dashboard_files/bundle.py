"""The page as one file, for the server and for the report: its styles, what it knows as JSON, and its modules as one script.

The modules keep two habits for it: each import is one line, and a name is used by one module alone.
"""

import base64
import hashlib
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


def style_sheet():
    return (UPLOT / "uPlot.min.css").read_text() + "\n" + (PAGE / "dashboard.css").read_text()


def _hashed(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


class Document:
    """`policy` allows the script and the styles that are in it, and no others."""

    def __init__(self, has_icon):
        self._script, style = script(), style_sheet()
        self.policy = f"script-src {_hashed(self._script)}; style-src {_hashed(style)}"
        page = (PAGE / "index.html").read_text()
        if not has_icon:
            page = re.sub(r"<link [^>]*>\n", "", page)
        self._page = page.replace("</head>", f"<style>{style}</style>\n</head>")

    def text(self, name, json_text, head=""):
        """With the data in an element of this id. "<" as an escape: no text of the database can end the element."""
        data = json_text.replace("<", "\\u003c")
        body = f'<script type="application/json" id="{name}">{data}</script>\n<script>{self._script}</script>\n'
        return self._page.replace("<style>", head + "<style>", 1).replace("</body>", body + "</body>")
