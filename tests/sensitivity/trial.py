"""One mutant after the other: asked what the worlds see of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from coverage import CoverageData

from tests.mutants.copies import called
from tests.mutants.draw import Mutant
from tests.mutants.run import broken
from tests.sensitivity.verdict import LEAST, Verdict, Verdicts, executed

ASK = [sys.executable, "-m", "tests.sensitivity.ask"]


@dataclass(frozen=True)
class Asked:
    """A mutant, and what was found. ``reached``: some world executes the statement that is broken."""

    mutant: Mutant
    diff: str
    reached: bool
    search: Verdict
    walks: Verdict

    @property
    def by_then(self) -> bool:
        """The walks found it in the time that the search took, or in ``LEAST``."""
        return self.walks.found and self.walks.seconds <= max(LEAST, self.search.seconds)

    @property
    def words(self) -> str:
        s, w = self.search, self.walks
        seen = f"{s.what} in {s.world} after {s.seconds:.1f} s: {s.detail}" if s.found else "holds in every world"
        lines = [f"{self.mutant}", self.diff, f"search: {seen}"[:300]]
        if s.changed:
            lines.append(f"changed: {', '.join(s.changed)}")
        lines.append((f"walks: {w.what} in {w.world}, {w.done} walks, {w.seconds:.1f} s: {w.detail}")[:300])
        if not self.reached:
            lines.append("no world comes here")
        return "\n".join(lines)


def ask(limit: float, more: list[str], lines: dict[Path, set[int]], mutant: Mutant) -> Asked:
    """In the copy that is the current directory."""
    reached = executed(mutant.path, mutant.line, lines.get(mutant.path, set()))
    outcome = broken(mutant, [*ASK, "broken", *more], limit)
    if outcome.what == "timed out":
        endless = Verdict("not ended", limit, 0)
        return Asked(mutant, outcome.diff, reached, endless, endless)
    said = msgspec.json.decode(outcome.output, type=Verdicts)
    return Asked(mutant, outcome.diff, reached, said.search, said.walks)


def lines_executed(root: Path) -> dict[Path, set[int]]:
    """The lines of ``host/`` that the searches execute on unbroken sources."""
    data = root / ".lines"
    where = ["--rcfile=/dev/null", f"--data-file={data}", "--include=*/fwpages/host/*"]
    done = called(root, [sys.executable, "-m", "coverage", "run", *where, *ASK[1:], "broken", "--no-walks"])
    if done.returncode:
        raise click.ClickException(f"the worlds cannot be searched under coverage:\n{done.stderr}")
    found = CoverageData(str(data))
    found.read()
    return {Path(f).relative_to(root): set(found.lines(f) or ()) for f in found.measured_files()}
