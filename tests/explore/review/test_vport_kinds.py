from __future__ import annotations

from fwpages.explore.review.answers import Answer
from fwpages.explore.review.vport_kinds import kinds
from tests.explore.small_worlds import DESIGNS

#: kind of vport → its type, and under what posted, merged and fwpages count its pages
TABLE = {
    # the own vhca_id is compared first, in all three
    "the supplier, e-switch manager": ("self", "self", "self", "self"),
    # marked, or known by number: no function falls through
    "host PF": ("host_pf", "host_pf", "host_pf", "host_pf"),
    "VF": ("vf", "vf", "vf", "vf"),
    "SF": ("sf", "sf", "sf", "sf"),
    "EC VF": ("ec_vf", "ec_vf", "ec_vf", "ec_vf"),
    # posted has no type for it, so it is "neither host PF nor SF nor VF"
    "SPF": ("spf", "ec_vf", "spf", "spf"),
    # it has the mark of a VF
    "adjacent VF": ("vf", "vf", "vf", "vf"),
    # only if firmware asks for them: in posted's walk their vhca_ids are found, in merged's map they never are
    "uplink": ("unknown", "ec_vf", "none", "unknown"),
    "ECPF by its vport": ("unknown", "ec_vf", "none", "unknown"),
    # Linux counts them in the total alone; ours shows them
    "not yet known": ("unknown", "none", "none", "unknown"),
}


def test_the_table_of_types(answers: list[Answer]) -> None:
    (a,) = [a for a in answers if a.table]
    assert a.question.number == 2
    assert {k.kind: (k.true, *(" or ".join(k.types[d]) for d in DESIGNS)) for k in a.table} == TABLE
    assert [k.kind for k in a.table] == list(TABLE)


def test_a_table_of_one_design() -> None:
    for k in kinds(["merged"]):
        assert k.types == {"merged": (TABLE[k.kind][2],)}
        assert k.true == TABLE[k.kind][0]
