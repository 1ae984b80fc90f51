"""``fwpages trial --replay``: the device's side of a path of the explorer, played to a kernel's driver."""

from __future__ import annotations

from collections.abc import Callable

import click
import msgspec

from fwpages.scenario import ScenarioError
from fwpages.trial.device_path import DevicePath, UndecidedError
from fwpages.trial.projection import project
from fwpages.trial.replay import ReplayedPath, plain, undecided


def replayed(text: str, run: Callable[[DevicePath], ReplayedPath], *, as_json: bool) -> int:
    """Play the path by ``run``, unless no device can; print the result, and return the exit code."""
    try:
        result = run(project(text))
    except ScenarioError as e:
        raise click.UsageError(f"--replay: {e}") from None
    except UndecidedError as e:
        result = undecided(text, str(e))
    click.echo(msgspec.json.encode(result) if as_json else plain(result), nl=as_json)
    return result.exit_code
