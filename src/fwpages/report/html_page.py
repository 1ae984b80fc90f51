"""HTML pages of one file each: the template and the style that they share, and the library that fills them in.

A page asks no network for anything; its Content-Security-Policy makes the browser hold it to that. It is light or dark
as its reader's screen is, and can be read without JavaScript and on paper. It needs the extra ``fwpages[report]``.
"""

from __future__ import annotations

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


def rendered(package: str, template: str, values: Mapping[str, object]) -> str:
    """The page of a template in this package, which extends ``page.html``. Text is escaped, ``markup`` is not.

    Raises NotInstalledError where Jinja2 is not there.
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
    version = importlib.metadata.version("fwpages")
    return environment.get_template(template).render({"version": version, **values})


def markup(text: str) -> str:
    """Text that a template does not escape: pictures that this program wrote by way of an element tree."""
    from markupsafe import Markup  # noqa: PLC0415  # comes with Jinja2

    return Markup(text)  # noqa: S704  # an element tree escapes every text that it writes


def embedded_json(data: bytes) -> str:
    """JSON for a ``script`` element of a page: nothing in it can end the element."""
    return markup(data.decode().replace("<", "\\u003c"))
