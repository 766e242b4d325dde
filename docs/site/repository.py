"""What the site's pages need beyond MkDocs: files of the repository, equations, and notebooks.

A page links to a file of the repository by its path, `../optimizers/base.py`, as it works on GitHub and in an editor.
The site holds such a file itself: a text as a page of its own under `repository/`, a picture as it is. So links hold
whatever place the repository has. Equations are fences of the language `math`, which GitHub shows too; here they become
MathML, which browsers draw without a script. Marks for the tests, `<!-- checked: ... -->`, are left out.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)#\s]+)((?:#[^)\s]*)?\))")
PICTURES = {".png", ".svg", ".jpg"}
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".cff": "yaml", ".md": "markdown", ".json": "json"}
NOTEBOOK = "first-search"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the repository that a page links to, and the notebook as a page."""
    files.append(File.generated(config, f"{NOTEBOOK}.md", content=_notebook(ROOT / "docs" / f"{NOTEBOOK}.ipynb")))
    for page in list(files.documentation_pages()):
        for target in LINK.findall(_without_code(page.content_string)):
            path = _in_repository(page.src_uri, target[1])
            if path is not None and files.get_file_from_path(_place(path)) is None:
                files.append(_file_of(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to the repository into links within the site, and equations into MathML."""
    source = page.file.src_uri

    def within(found: re.Match[str]) -> str:
        path = _in_repository(source, found[2])
        if path is None:
            return found[0]
        return f"{found[1]}{os.path.relpath(_place(path), PurePosixPath(source).parent)})"

    if source.startswith("repository/"):
        return markdown
    markdown = re.sub(r"<!-- checked: .*? -->\n", "", markdown, flags=re.DOTALL)
    markdown = re.sub(r"^```math\n(.*?)^```$", _equation, markdown, flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else LINK.sub(within, part) for index, part in enumerate(parts))


def _without_code(markdown: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def _in_repository(source: str, target: str) -> Path | None:
    """The file outside `docs` that a page's link means, relative to the repository; None for links within `docs`.

    Raises:
        PluginError: there is no such file.
    """
    docs = ROOT / "docs"
    path = (docs / source).parent / target
    resolved = Path(os.path.normpath(path))
    if resolved.is_relative_to(docs) and resolved.suffix not in {".py", ".ipynb"}:
        return None
    if not resolved.is_file() or not resolved.is_relative_to(ROOT):
        raise PluginError(f"{source} links to {target}, which is no file of the repository")
    return resolved.relative_to(ROOT)


def _place(path: Path) -> str:
    """Where the site has a file of the repository."""
    place = PurePosixPath("repository", *path.parts)
    return str(place) if path.suffix in PICTURES | {".ipynb"} else f"{place}.md"


def _file_of(path: Path, config: MkDocsConfig) -> File:
    if path.suffix in PICTURES | {".ipynb"}:
        return File.generated(config, _place(path), abs_src_path=str(ROOT / path))
    text = (ROOT / path).read_text()
    fence = "`" * (3 + max(map(len, re.findall(r"`{3,}", text)), default=0))
    block = f"{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n"
    return File.generated(config, _place(path), content=f"---\nsearch:\n  exclude: true\n---\n# {path}\n\n{block}")


def _equation(found: re.Match[str]) -> str:
    return f'<div class="equation">{convert(found[1].strip(), display="block")}</div>'


def _notebook(path: Path) -> str:
    """The cells of a notebook as a page: text as it is, code in fences."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    where = f"[docs/{path.name}]({path.name})"
    return "\n\n".join([*parts, f"This page is the notebook {where}, which a test runs."]) + "\n"
