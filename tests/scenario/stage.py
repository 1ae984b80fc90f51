"""A scenario that is served, with a clock of its own and drivers to come to it."""

from __future__ import annotations

from io import StringIO

from fwpages.readers.trace_writer import MOST_TRACE, TraceWriter
from fwpages.scenario import load
from fwpages.scenario.served_runner import ServedRun
from fwpages.scenario.topology import device_profile
from tests.link.vfio_driver import Driver, PagedDriver

HEAD = """
[device]
profile = "connectx7"
init_pages = 20
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
"""
START = 37 + 20


def steps(*rows: str) -> str:
    return HEAD + "".join(f"[[step]]\n{row}\n" for row in rows)


def request(name: str, pages: int) -> str:
    return f'do = "request"\nfunction = "{name}"\npages = {pages}'


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A served scenario with its driver. Its trace has at most so many characters."""

    def __init__(self, text: str, *, most: int = MOST_TRACE, **options: object) -> None:
        plan = load("test", text=text)
        self.clock, self.stream, self.said = Clock(), StringIO(), list[str]()
        p = device_profile(plan)
        self.writer = TraceWriter(self.stream, device=p.name, supplier=p.supplier, most=most)
        self.serving = ServedRun(
            plan,
            tap=self.writer,
            on_event=lambda _, words: self.said.append(words),
            clock=self.clock,
            **options,  # type: ignore[arg-type]
        )
        self.drivers: list[Driver] = []

    def driver(self) -> Driver:
        self.drivers.append(Driver(self.serving))
        return self.drivers[-1]

    def paged(self) -> PagedDriver:
        """A driver behind a strict IOMMU."""
        d = PagedDriver(self.serving)
        self.drivers.append(d)
        return d

    def held(self, name: str) -> int:
        return self.serving.observer.inner.held(name)

    def later(self, seconds: float) -> None:
        """Time passes; whoever has a deadline is woken, as the server's loop does."""
        end = self.clock.now + seconds
        while (due := self.serving.deadline) is not None and due <= end:
            self.clock.now = max(self.clock.now, due)
            self.serving.tick()
        self.clock.now = end
        self.serving.tick()
