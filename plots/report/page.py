"""The report as one HTML page that fetches nothing: skeleton, style, scripts and data of `plots/page/` put together.

Names in run folders are anybody's. They reach the page as JSON in an element that is never run, with every letter that
could end it escaped, and the scripts write them as text alone. A content security policy names each script and style by
its SHA-256, so that nothing else runs, and allows no request.

Charts are uPlot's (MIT), a file of 50 kB in `plots/page/uplot/`. Packages of PyPI that carry a chart library's script
carry larger ones, which would be in every page: Plotly's is 4.5 MB, Bokeh's 1 MB.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import string
from importlib import resources
from typing import Any

STYLES = ("uplot/uPlot.min.css", "report.css")
SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "elements.js",
    "cell.js",
    "chart.js",
    "tables.js",
    "curves.js",
    "derived_cell.js",
    "report.js",
)


def page(data: dict[str, Any], live: bool = False) -> bytes:
    """The page, in UTF-8.

    Args:
        data: of `plots.report_data`; without NaN or infinity.
        live: whether the page asks the server that it came from for newer data.

    Raises:
        ValueError: the data hold a number that JSON cannot carry.
    """
    styles, scripts = [_read(name) for name in STYLES], [_read(name) for name in SCRIPTS]
    filled = string.Template(_read("report.html")).substitute(
        policy=policy(live),
        title=html.escape(f"One-shot NAS report: {data['results']}"),
        live="yes" if live else "no",
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        licence=html.escape(_read("uplot/LICENSE")),
        data=embedded_json(data),
    )
    return filled.encode("utf-8", "xmlcharrefreplace")


def policy(live: bool) -> str:
    """The content security policy: our own scripts and styles by their hashes, no requests but a live page's own."""
    scripts, styles = " ".join(map(_hash, SCRIPTS)), " ".join(map(_hash, STYLES))
    own = "connect-src 'self'; " if live else ""
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; {own}img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def embedded_json(data: object) -> str:
    """JSON that can stand in a script element: ASCII alone, and no letter that HTML reads.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _read(name: str) -> str:
    return (resources.files("plots.report") / "page_files" / name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    digest = hashlib.sha256(_read(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
