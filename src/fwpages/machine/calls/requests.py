"""Page requests, each seen twice: in the interrupt that brings it, and when the driver works it off.

The kernel skips a probe that is passed in an interrupt while the interrupted task is in a probe itself: by the next
load of the driver its count of them begins anew. Firmware often asks right when it has answered a command, that is in
such a moment. The driver works requests off in tasks, in the order in which they came, and a probe in a task is never
skipped for that reason. A request that it works off and that no interrupt was seen to bring was missed.

Source: Linux, kernel/kprobes.c and arch/x86/kernel/kprobes/ftrace.c (``kprobe_running``); pagealloc.c:
req_pages_handler, pages_work_handler.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, unique

from fwpages.prm.event import PageRequestEvent

#: requests that wait to be worked off, of one device: more are not remembered
_MOST = 1 << 16
#: seconds after which an answer was certainly there before a request came that is worked off now: the driver goes from
#: one request to the next without a pause
_LONG_AGO = 10.0


@unique
class Seen(Enum):
    """The event of a request that the driver works off."""

    YES = "it is in the record"
    #: it has its place here: nothing that it could have crossed lies between
    MISSED = "it was missed"
    #: it was missed, and what it crossed is open
    UNCERTAIN = "it was missed, and nothing shows when it came"


class Requests:
    """Those of one device."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[PageRequestEvent, float]] = deque(maxlen=_MOST)
        #: the time of the latest one that came, of those that are worked off
        self._came = 0.0
        #: the time of the latest answer to a GIVE, by the function's number and its bit
        self._given: dict[tuple[int, bool], float] = {}

    def given(self, number: int, ec: bool, time: float) -> None:
        """A GIVE for this function was answered."""
        self._given[number, ec] = time

    def came(self, request: PageRequestEvent, time: float) -> None:
        """An interrupt brings a request."""
        self._waiting.append((request, time))

    def worked_off(self, request: PageRequestEvent, time: float) -> Seen:
        """The driver works a request off."""
        for n, (waiting, came) in enumerate(self._waiting):
            if _same(waiting, request):
                self._came = came
                for _ in range(n + 1):  # those before it were dropped by the driver: it had no memory for them
                    self._waiting.popleft()
                return Seen.YES
        return Seen.UNCERTAIN if request.release_all and self._may_have_crossed(request, time) else Seen.MISSED

    def _may_have_crossed(self, request: PageRequestEvent, time: float) -> bool:
        """A GIVE was answered between the last request before this one and now: this one may have come before it."""
        given = self._given.get((request.number, request.ec))
        return given is not None and self._came < given and time < given + _LONG_AGO

    def forget(self) -> None:
        """Events were lost: what still waits is not known."""
        self._waiting.clear()


def _same(came: PageRequestEvent, worked: PageRequestEvent) -> bool:
    """The driver works this one off; newer ones cut the number of pages to be taken back."""
    if (came.number, came.ec, came.release_all) != (worked.number, worked.ec, worked.release_all):
        return False
    return came.release_all or came.num_pages == worked.num_pages or came.num_pages < worked.num_pages < 0
