"""Which documents become which pages, and where their links lead on the site."""

from __future__ import annotations

import os
import re
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tools.site.markdown import blocks, for_site

ROOT = Path(__file__).parents[2]
ROOT_PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh-cn.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting-a-vulnerability.md",
    "docs/techniques/README.md": "techniques/index.md",
}
"""Pages whose place on the site is not the one in docs/."""
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".csv": "text", ".html": "html"}
"""Languages in which files of the repository are shown, by suffix."""
HIDDEN = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n"
"""Front matter that keeps a page that shows a file out of the search."""
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^()\s]+)(?P<after>(?:\s+\"[^\"]*\")?\))")
DEFINITION = re.compile(r"^(?P<before>\[[^\]]+\]:\s*)(?P<target>\S+)(?P<after>)", re.MULTILINE)
ATTRIBUTE = re.compile(r"(?P<before>\b(?:href|src)=\")(?P<target>[^\"]+)(?P<after>\")")
PICTURE = re.compile(
    r"<picture>\s*<source[^>]*dark[^>]*srcset=\"([^\"]+)\"[^>]*>\s*(<img[^>]*>)\s*</picture>", re.DOTALL
)
IMAGE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


class BrokenLink(Exception):
    """A document links to what is not there."""


@dataclass
class Staging:
    """The folder that the site is built from.

    Attributes:
        folder: where pages and images are written.
        files: files of the repository that pages link to and that are not pages themselves, as they are shown.
    """

    folder: Path
    files: set[Path] = field(default_factory=set)

    def fill(self) -> None:
        """Write every document with its images, and the files of the repository that they link to."""
        for page in documents():
            self.write(page_of(page), self.on_site(page, page.read_text(encoding="utf-8")))
        for path in sorted(self.files):
            self.write(shown_at(path), as_page(path))

    def write(self, page: str, text: str) -> None:
        """Write a page.

        Args:
            page: the page, from the folder of the site.
            text: its Markdown.
        """
        target = self.folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def on_site(self, document: Path, text: str) -> str:
        """Return a document as a page: its links lead to pages, and images have the colours of the reader's theme."""
        here = page_of(document)

        def lead(match: re.Match[str]) -> str:
            return match["before"] + self._target(document, here, match["target"]) + match["after"]

        text = outside_code(PICTURE, _both_pictures, text)
        text = outside_code(IMAGE, lambda match: with_colours(document, match), text)
        for pattern in (LINK, DEFINITION, ATTRIBUTE):
            text = outside_code(pattern, lead, text)
        return for_site(text)

    def _target(self, document: Path, here: str, target: str) -> str:
        """Return where a link of a document leads from its page."""
        address, hash_, anchor = target.partition("#")
        if not address or "://" in address or address.startswith("mailto:"):
            return target
        path = (document.parent / address).resolve()
        if not path.exists():
            raise BrokenLink(f"{document.relative_to(ROOT)}: links to {target}, which is not there")
        if path.is_dir():
            path = path / "README.md" if (path / "README.md").is_file() else path
        return os.path.relpath(self._page(path), Path(here).parent) + hash_ + anchor

    def _page(self, path: Path) -> str:
        """Return the place of a file on the site, and note it to be written."""
        if path in documents() or path == ROOT / "README.md":
            return page_of(path)
        if path.suffix in (".svg", ".png", ".jpg", ".webp", ".gif"):
            place = page_of(path)
            (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.folder / place)
            return place
        self.files.add(path)
        return shown_at(path)


def documents() -> tuple[Path, ...]:
    """All documents that are pages of the site."""
    own = [ROOT / name for name in ROOT_PAGES if "/" not in name and name != "README.md"]
    found = [*own, *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
    return tuple(path for path in found if path.is_file())


def page_of(path: Path) -> str:
    """Return the place of a document or an image on the site."""
    name = path.relative_to(ROOT).as_posix()
    if name in ROOT_PAGES:
        return ROOT_PAGES[name]
    if name.startswith("examples/"):
        return f"{path.parent.relative_to(ROOT).as_posix()}.md"
    return name.removeprefix("docs/")


def shown_at(path: Path) -> str:
    """Return the place at which a file of the repository is shown."""
    return f"source/{path.relative_to(ROOT).as_posix()}.md"


def as_page(path: Path) -> str:
    """Return a page that shows a file, or the list of a folder's files."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        listed = sorted(each.name for each in path.iterdir() if not each.name.startswith(("_", ".")))
        body, language = "\n".join(listed), "text"
    else:
        body, language = path.read_text(encoding="utf-8"), LANGUAGES.get(path.suffix, "text")
    fence = "`" * max([3, *(len(each) + 1 for each in re.findall("`+", body))])
    return f"{HIDDEN}# `{name}`\n\n{fence}{language}\n{body.rstrip()}\n{fence}\n"


def outside_code(pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], text: str) -> str:
    """Replace what a pattern matches, but for matches that begin within code."""
    code = code_ranges(text)
    starts = [begin for begin, _ in code]

    def inside(position: int) -> bool:
        number = bisect_right(starts, position) - 1
        return number >= 0 and position < code[number][1]

    return pattern.sub(lambda match: match[0] if inside(match.start()) else change(match), text)


@lru_cache(maxsize=1)
def code_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Return where blocks of code and code within lines begin and end, in order."""
    fenced = tuple(blocks(text))
    masked = text
    for begin, end in fenced:
        masked = masked[:begin] + " " * (end - begin) + masked[end:]
    return tuple(sorted((*fenced, *(match.span() for match in CODE.finditer(masked)))))


def _both_pictures(match: re.Match[str]) -> str:
    """Return a `<picture>` with a dark source as two images, of which the theme shows one."""
    light = re.sub(r"(src=\"[^\"]+)\"", r'\1#only-light"', match[2])
    return light + re.sub(r"src=\"[^\"]+\"", f'src="{match[1]}#only-dark"', match[2])


def with_colours(document: Path, match: re.Match[str]) -> str:
    """Return an image with what the theme needs to know: its dark variant, or that it has the colours of both."""
    text, target = match["text"], Path(match["target"])
    path = document.parent / target
    if "://" in match["target"] or not path.is_file():
        return match[0]
    if path.suffix == ".svg" and "prefers-color-scheme" in path.read_text(encoding="utf-8"):
        return f"![{text}]({target.as_posix()}#both)"
    dark = target.with_name(f"{target.stem.removesuffix('-light')}-dark{target.suffix}")
    if target.stem.endswith("-dark") or not (document.parent / dark).is_file():
        return match[0]
    return f"![{text}]({target.as_posix()}#only-light)![{text}]({dark.as_posix()}#only-dark)"


def pages_in(folder: Path) -> Iterator[str]:
    """Yield the pages of a folder but those that show files of the repository."""
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith("source/"):
            yield name
