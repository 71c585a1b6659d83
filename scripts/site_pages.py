"""What the documentation site makes of the repository's own documents (a hook of MkDocs).

README, CONTRIBUTING and CHANGELOG become pages without a copy. Links between documents become links
between pages, those to source files lead to the reference, and others, to what is no part of the
site, lose their link.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
REPORT = "results/tiny/index.html"  # whose place on the site belongs to the README beside it
REPORT_PAGE = "results/tiny/report.html"

_LINK = re.compile(r"(?<!`)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)")
_ENTRY = re.compile(r"^::: (\S+)", re.MULTILINE)


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Add the repository's documents, and give the report a place of its own."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    report = ROOT / "docs" / REPORT
    files.append(File.generated(config, REPORT_PAGE, abs_src_path=str(report)))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """Write the links of a page for the site."""
    here = page.file.src_uri
    names = {page: name for name, page in PAGES.items()}
    document = names.get(here, f"docs/{here}")

    def replace(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        if "://" in target or target.startswith("#"):
            return link[0]
        path, _, anchor = target.partition("#")
        found = _place(posixpath.normpath(posixpath.join(posixpath.dirname(document), path)), files)
        if found is None:
            return text
        place, own = found
        relative = posixpath.relpath(place, posixpath.dirname(here) or ".")
        anchor = own or anchor
        return f"[{text}]({relative}{'#' + anchor if anchor else ''})"

    return _LINK.sub(replace, markdown)


def _place(path: str, files: Files) -> tuple[str, str] | None:
    """The page or file of the site for a file of the repository, with an anchor; None without."""
    if path in PAGES:
        return PAGES[path], ""
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
        inside = REPORT_PAGE if inside == REPORT else inside
        return (inside, "") if files.get_file_from_path(inside) else None
    if path.startswith("src/") and path.endswith(".py"):
        module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        module = module.removesuffix(".__init__")
        page = _entries().get(module)
        return None if page is None else (page, module)
    return None


def _entries() -> dict[str, str]:
    """The page of the reference on which each module stands."""
    return {
        name: f"reference/{path.name}"
        for path in (ROOT / "docs/reference").glob("*.md")
        for name in _ENTRY.findall(path.read_text(encoding="utf-8"))
    }
