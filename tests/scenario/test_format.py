from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.host import Bounds
from fwpages.prm.identity import FunctionType
from fwpages.scenario import ScenarioError, load, names
from fwpages.scenario.format import CloseStep, OpenStep, RequestStep

MINIMAL = """
[device]
profile = "connectx7"

[[step]]
do = "open"
"""
FUNCTION = '\n[[function]]\nname = "vf0"\ntype = "vf"\nvhca_id = 0x31\n'


def test_every_packaged_scenario_can_be_read_and_says_what_it_is() -> None:
    assert len(names()) >= 10
    assert names() == sorted(names())
    for name in names():
        s = load(name)
        assert s.description
        assert s.step


def test_what_is_not_said_has_its_default() -> None:
    s = load("x.toml", MINIMAL + FUNCTION)
    assert s.step == (OpenStep(mode="auto"),)
    assert not s.step[0].triggered
    (f,) = s.function
    assert (f.index, f.pages, f.kind) == (0, 0, FunctionType.VF)
    assert s.bounds.bounds() == Bounds()


def test_steps_are_read_by_what_they_do() -> None:
    text = MINIMAL + (
        '[[step]]\ndo = "request"\nfunction = "self"\npages = -2147483648\nat = 1.5\nafter = "open"\ncommand = 3\n'
        '[[step]]\ndo = "close"\nhow = "forced"\nsettle = false\nonly = "func_id"\n'
        "[bounds]\nqueue = 7\nwait_overall = 9\n"
    )
    s = load("x.toml", text)
    assert s.step[1] == RequestStep(function="self", pages=-(2**31), at=1.5, after="open", command=3)
    assert s.step[1].triggered
    assert s.step[2] == CloseStep(how="forced", settle=False, only="func_id")
    assert (s.bounds.bounds().queue, s.bounds.bounds().wait_overall) == (7, 9.0)
    assert s.bounds.bounds().command == Bounds().command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "colour = 1\n", r"unknown field `colour` - at `\$\.step\[0\]`"),
        ("colour = 1\n" + MINIMAL, r"unknown field `colour`"),
        (MINIMAL.replace("profile", "profil"), r"`\$\.device`"),
        (MINIMAL.replace('"open"', '"dance"'), r"'dance' - at `\$\.step\[0\]\.do`"),
        (MINIMAL + 'mode = "both"\n', r"`\$\.step\[0\]\.mode`"),
        (MINIMAL + "at = -1\n", r"`\$\.step\[0\]\.at`"),
        (MINIMAL + "command = 0\n", r"`\$\.step\[0\]\.command`"),
        (MINIMAL + 'only = "auto"\n', r"`\$\.step\[0\]\.only`"),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\n',
            r"missing required field `pages` - at `\$\.step\[1\]`",
        ),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\npages = 2147483648\n',
            r"<= 2147483647 - at `\$\.step\[1\]\.pages`",
        ),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\npages = -2147483649\n',
            r">= -2147483648 - at `\$\.step\[1\]\.pages`",
        ),
        (MINIMAL + FUNCTION + "pages = -1\n", r">= 0 - at `\$\.function\[0\]\.pages`"),
        (MINIMAL + FUNCTION + "index = 65536\n", r"<= 65535 - at `\$\.function\[0\]\.index`"),
        (MINIMAL + FUNCTION.replace("0x31", "0x10000"), r"<= 65535 - at `\$\.function\[0\]\.vhca_id`"),
        (MINIMAL + FUNCTION.replace('"vf"', '"pf"'), r"`\$\.function\[0\]\.type`"),
        (MINIMAL + FUNCTION.replace('"vf0"', '"VF 0"'), r"`\$\.function\[0\]\.name`"),
        (MINIMAL + "[bounds]\nqueue = 0\n", r">= 1 - at `\$\.bounds\.queue`"),
        (MINIMAL + "[bounds]\nmemory = 1000000000000\n", r"`\$\.bounds\.memory`"),
        (MINIMAL + "[bounds]\ncommand = -1\n", r"`\$\.bounds\.command`"),
        (MINIMAL + '[bounds]\nqueue = "many"\n', r"Expected `int.*`\$\.bounds\.queue`"),
        ("[device]\nprofile = 'connectx7'\n", r"missing required field `step`"),
        ("[[step]]\ndo = 'open'\n", r"missing required field `device`"),
        ("[device", r"not TOML"),
        ("", r"missing required field"),
    ],
)
def test_an_error_names_the_key_path(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=r"^here\.toml: .*" + words):
        load("here.toml", text)


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e300"])
@pytest.mark.parametrize("key", ['[[step]]\ndo = "wait"\nseconds', "at", "[bounds]\ncommand"])
def test_times_are_finite(key: str, seconds: str) -> None:
    with pytest.raises(ScenarioError, match=r"`\$\.(step\[[01]\]\.(seconds|at)|bounds\.command)`"):
        load("here.toml", f"{MINIMAL}{key} = {seconds}\n")


def test_files_and_names_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"there is no scenario 'nosuch'; there are .*connectx7"):
        load("nosuch")
    with pytest.raises(ScenarioError, match=r"nosuch\.toml: No such file"):
        load(str(tmp_path / "nosuch.toml"))
    with pytest.raises(ScenarioError, match="directory"):
        load(str(tmp_path))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match=r"binary\.toml: not text in UTF-8"):
        load(str(binary))
    good = tmp_path / "good.toml"
    good.write_text(MINIMAL, "utf-8")
    assert load(str(good)).device.profile == "connectx7"
