"""Copies of the tree that can be broken, and programs run on the sources of a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]


def copy(to: Path) -> None:
    """Copy what the tests need of the tree."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", "tests", "docs"):
        shutil.copytree(ROOT / folder, to / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", to)


def environment(root: Path) -> dict[str, str]:
    """The copy's sources before the installed ones; the same Hypothesis examples for every mutant."""
    return {"PYTHONPATH": str(root / "src"), "CI": "1"}


def called(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run this in a copy, on the copy's sources."""
    env = os.environ | environment(root)
    return subprocess.run(command, cwd=root, env=env, check=False, capture_output=True, text=True)


def on_its_own(root: Path) -> None:
    """Make sure that what runs in a copy imports the copy's sources."""
    found = called(root, [sys.executable, "-c", "import fwpages; print(fwpages.__file__)"]).stdout.strip()
    if not Path(found).is_relative_to(root):
        raise click.ClickException(f"tests would import {found}, not the copy in {root}")
