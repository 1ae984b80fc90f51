"""HTML pages of one file each: the template and the style that they share, and the library that fills them in.

A page asks no network for anything; its Content-Security-Policy makes the browser hold it to that. It is light or dark
as its reader's screen is, and can be read without JavaScript and on paper. It needs the extra ``fwpages[report]``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections.abc import Mapping

#: the line that installs what pages need
INSTALL = "pip install 'fwpages[report]'"


class NotInstalledError(Exception):
    """Jinja2 is not there; the message has the line that installs it."""


def check_installed() -> None:
    """Raise NotInstalledError where Jinja2 is not there: to be called before the work that a page shows."""
    try:
        import jinja2  # noqa: F401, PLC0415  # an extra, and slow to import
    except ImportError:
        raise NotInstalledError(f"an HTML page needs Jinja2: {INSTALL}") from None


def rendered(package: str, template: str, values: Mapping[str, object], script: str = "") -> str:
    """The page of a template in this package, which extends ``page.html``. Text is escaped, ``markup`` is not.

    ``script`` names a file beside the template: the one script that a browser carries out. Raises NotInstalledError
    where Jinja2 is not there.
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
    )
    source = environment.get_template(script).render() if script else ""
    shared = {
        "version": importlib.metadata.version("fwpages"),
        "script": markup(source),
        "scripts": markup(_digest(source) if script else "'none'"),
    }
    return environment.get_template(template).render({**shared, **values})


def _digest(source: str) -> str:
    """The source of a policy that allows this script alone (Content Security Policy Level 3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def markup(text: str) -> str:
    """Text that a template does not escape: pictures that this program wrote by way of an element tree."""
    from markupsafe import Markup  # noqa: PLC0415  # comes with Jinja2

    return Markup(text)  # noqa: S704  # an element tree escapes every text that it writes


def embedded_json(data: bytes) -> str:
    """JSON for a ``script`` element of a page: nothing in it can end the element."""
    return markup(data.decode().replace("<", "\\u003c"))
