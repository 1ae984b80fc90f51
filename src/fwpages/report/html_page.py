"""HTML pages of one file each: the template and the style that they share, and the library that fills them in.

A page asks no network for anything: its Content-Security-Policy (Level 3) allows its own style and scripts alone, by
their digests, and a browser loads nothing else. It is light or dark as its reader's screen is, light on paper, and can
be read without JavaScript. It needs the extra ``fwpages[report]``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

#: the line that installs what pages need
INSTALL = "pip install 'fwpages[report]'"

#: characters that XML and HTML do not take, from a log that has them
_NO_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotInstalledError(Exception):
    """Jinja2 is not there; the message has the line that installs it."""


def check_installed() -> None:
    """Raise NotInstalledError where Jinja2 is not there: to be called before the work that a page shows."""
    try:
        import jinja2  # noqa: F401, PLC0415  # an extra, and slow to import
    except ImportError:
        raise NotInstalledError(f"an HTML page needs Jinja2: {INSTALL}") from None


def rendered(
    package: str,
    template: str,
    values: Mapping[str, object],
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:
    """The page of a template in this package, which extends ``page.html``. Text is escaped, ``markup`` is not.

    ``styles`` are rules of this page after the shared ones; ``scripts`` are all that a browser carries out. Raises
    NotInstalledError where Jinja2 is not there.
    """
    check_installed()
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("fwpages.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    style = "\n".join([source("fwpages.report", "page.css"), *styles])
    shared = {
        "version": importlib.metadata.version("fwpages"),
        "policy": _policy(style, scripts),
        "style": markup(style),
        "scripts": [markup(script) for script in scripts],
    }
    return environment.get_template(template).render({**shared, **values})


def source(package: str, name: str) -> str:
    """The text of a style or a script beside this package's templates."""
    return (files(package) / "templates" / name).read_text("utf-8")


def clean(text: str) -> str:
    """The text with a mark for each character that a page or an SVG cannot have."""
    return _NO_TEXT.sub("�", text)


def markup(text: str) -> str:
    """Text that a template does not escape: pictures that this program wrote, with every text in them escaped."""
    from markupsafe import Markup  # noqa: PLC0415  # comes with Jinja2

    return Markup(text)  # noqa: S704  # whoever draws a picture escapes its texts


def embedded_json(data: bytes) -> str:
    """JSON for a ``script`` element of a page: nothing in it ends the element or begins a comment."""
    text = clean(data.decode("utf-8", "replace"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markup(text)


def _policy(style: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(map(_digest, scripts)) or "'none'"
    return f"default-src 'none'; style-src {_digest(style)}; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
