from __future__ import annotations

import pytest

from fwpages.device import Firmware, Profile, ProfileError, names, parse, profile
from fwpages.device.profiles import exceeding

LEAST = 'name="x"\ndescription=""\nboot_pages=1\ninit_pages=1\nvhca_id=1\n'


def test_every_profile_loads_under_its_own_name() -> None:
    assert {"bluefield3", "connectx4", "connectx4-lx", "connectx4-lx-dual", "connectx5", "connectx7"} <= set(names())
    for name in names():
        p = profile(name)
        assert p.name == name
        assert p.description
        assert p.take_limit == 50_000
        Firmware(p).check()


@pytest.mark.parametrize(
    ("name", "boot", "init"),
    [("connectx4-lx", 6, 4465), ("connectx4-lx-dual", 6, 2489), ("connectx4", 6, 4521)],
)
def test_real_figures(name: str, boot: int, init: int) -> None:
    p = profile(name)
    assert (p.boot_pages, p.init_pages) == (boot, init)
    most = p.capabilities(current=False)
    assert not most.get("icm_mng_function_id_mode")
    assert not most.get("release_all_pages")


def test_offers() -> None:
    for name in ("connectx7", "bluefield3"):
        most = profile(name).capabilities(current=False)
        assert most["icm_mng_function_id_mode"] == most["release_all_pages"] == most["sf"] == 1
        assert not profile(name).capabilities(current=True).get("release_all_pages")
    assert profile("bluefield3").supplier.ecpf
    assert profile("bluefield3").supplier.max_ec_vfs


def test_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ProfileError, match="connectx4-lx, connectx4-lx-dual"):
        profile("connectx9")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "colour=1", "profile here: .*unknown field `colour`"),
        (LEAST + "ecpf=1", r"\$\.ecpf"),
        (LEAST + "max_vfs=70000", r"\$\.max_vfs"),
        (LEAST + 'order="random"', r"\$\.order"),
        (LEAST + "seed=-1", r"\$\.seed"),
        (LEAST + "[timeouts]\ncolour=1", "unknown field `colour`"),
        (LEAST + "[timeouts]\ncommand=-1", r"\$\.timeouts\.command"),
        (LEAST + "[timeouts]\ncommand=nan", r"\$\.timeouts\.command"),
        (LEAST + "[timeouts]\ninit=0", r"\$\.timeouts\.init"),
        (LEAST + "software_reset=1", r"\$\.software_reset"),
        (LEAST + "[max]\ncolour=1", r"not a general capability - at `\$\.max\.colour`"),
        (LEAST + "[max]\nvhca_id=1", r"other keys - at `\$\.max\.vhca_id`"),
        (LEAST + "[max]\nnum_ports=256", r"256 is more than 255 - at `\$\.max\.num_ports`"),
        (LEAST + "[current]\nnum_ports=1", r"more than max offers - at `\$\.current\.num_ports`"),
        (
            LEAST + "[max]\nicm_mng_function_id_mode=1\n[current]\nicm_mng_function_id_mode=1",
            r"FUNC_ID mode - at `\$\.current\.icm_mng_function_id_mode`",
        ),
        ("name=", "profile here: "),
        ("name=" + "[" * 100_000, "profile here: lists or tables are nested too deeply in it"),
        ("name=" + "9" * 5000, "profile here: a number in it is too long"),
        (LEAST + "[max]\nnum_ports=0x1" + "0" * 5000, r"\$\.max"),
        ('name="x"', "missing required field"),
    ],
)
def test_errors_name_the_key(text: str, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        parse(text, "here")


def test_sf_capabilities_follow_from_the_range() -> None:
    p = Profile(name="", description="", boot_pages=0, init_pages=0, vhca_id=1, sf_base_id=9, max_sf=100)
    caps = p.capabilities(current=True)
    assert (caps["sf"], caps["log_max_sf"], caps["max_num_sf"], caps["sf_base_id"]) == (1, 7, 100, 9)


def test_exceeding() -> None:
    assert exceeding({"a": 1, "b": 0}, {"a": 1}) is None
    assert exceeding({"a": 1, "b": 2}, {"a": 1}) == "b"
