"""The kinds of differences: the meaning of each, and what to look at, in one table. To add a kind is to add a row."""

from __future__ import annotations

from enum import StrEnum, unique

_WANTED = "the requests of firmware: a page request, or the answer to QUERY_PAGES, decides what is given"
_TAKES = "the TAKEs of this function, what was asked and what came back, and the page requests before them"
_STEPS = "the first step that is in one input alone; those after it may follow from it"


@unique
class Kind(StrEnum):
    """A kind of difference; its value is the name."""

    meaning: str
    look_at: str

    def __new__(cls, name: str, meaning: str, look_at: str) -> Kind:
        """Make a member of its row."""
        new = str.__new__(cls, name)
        new._value_ = name
        new.meaning, new.look_at = meaning, look_at
        return new

    INPUT = (
        "input",
        "an input lacks a part of the session, or evidence that its counts need",
        "what is missing, and the command that provides it (`fwpages audit`)",
    )
    SESSION = ("session", "one input has a session that the other has not", "how the session before it ended")
    FUNCTION = (
        "function",
        "one input has a function that the other has not",
        "whether the function was enabled in both, and in which order",
    )
    MODE = (
        "mode",
        "functions are named by FUNC_ID in one session, by VHCA_ID in the other",
        "the answer to QUERY_HCA_CAP, and the bit that SET_HCA_CAP sets",
    )
    END = ("end", "the sessions ended differently, or one is still open", "the last lines of both")
    TYPE = (
        "type",
        "the same function counts as another type",
        "when the driver learned which function the number belongs to",
    )
    GIVEN = ("given", "the driver gave another number of pages", _WANTED)
    RETURNED = ("returned", "firmware returned another number of pages by TAKE", _TAKES)
    RELEASED = (
        "released",
        "firmware released another number of pages by an event (release_all)",
        "resets of the function, and whether release_all_pages was negotiated",
    )
    DISCARDED = (
        "discarded",
        "another number of pages was written off when a fence was proven",
        "the reset, and what firmware had at that time",
    )
    HELD = ("held", "firmware has another number of pages at the end", "given, less what came back, in both")
    DOUBTFUL = (
        "doubtful",
        "of another number of pages it is not known who has them",
        "commands that were not answered",
    )
    PEAK = ("peak", "the most pages that were out at one time differ", "the order of GIVEs and TAKEs")
    COUNTER = ("counter", "a counter of the driver differs", "the operation that it counts, in both inputs")
    FINDING = (
        "finding",
        "a finding is new or gone, or came another number of times",
        "the finding's evidence and remedy (`fwpages audit`)",
    )
    FINDING_PAGES = ("finding-pages", "the same findings are about another number of pages", "the finding's evidence")
    START_UP = ("start-up", "the driver's commands until INIT_HCA differ, or come in another order", _STEPS)
    PAGE_COMMANDS = (
        "page-commands",
        "GIVEs, TAKEs and CANT_GIVEs differ, or come in another order",
        f"{_STEPS}; large requests are cut into commands, whose size is the driver's to choose",
    )
    PAGE_REQUESTS = ("page-requests", "firmware's page requests differ, or come in another order", _STEPS)
    COMMANDS = (
        "commands",
        "after INIT_HCA, a command other than MANAGE_PAGES was sent another number of times",
        "the part of the driver that sends it; VHCA_ID mode asks for the vhca_id of each function",
    )
    FAILED = ("failed-operation", "an operation failed in one run alone", "the reason, beside the operation")
    FAULT = ("fault", "a fault was injected another number of times", "the options --fault of both runs")
    MISSED = (
        "never-happened",
        "a step or a fault never happened in one run alone",
        "the step before it, and its end",
    )
