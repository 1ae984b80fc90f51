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
        (MINIMAL + "colour = 1\n", r"step\[0\]: there is no key 'colour'; there are do, mode, at, after, .*when$"),
        ("colour = 1\n" + MINIMAL, r"there is no key 'colour'; there are description, device, .*expect$"),
        (MINIMAL.replace("profile", "profil"), r"device: (there is no key 'profil'|the key 'profile' is missing)"),
        (MINIMAL.replace('"open"', '"dance"'), r"step\[0\]\.do: expected 'open', 'close', .* or 'wait', not 'dance'$"),
        (MINIMAL.replace('do = "open"', "at = 1"), r"step\[0\]: the key 'do' is missing; expected 'open', "),
        (MINIMAL + 'mode = "both"\n', r"step\[0\]\.mode: expected 'auto', 'func_id' or 'vhca_id', not 'both'$"),
        (MINIMAL + "at = -1\n", r"step\[0\]\.at: expected a number from 0 to 1000000000, not -1$"),
        (MINIMAL + 'at = ""\n', r"step\[0\]\.at: expected a number from 0 to 1000000000, not ''$"),
        (MINIMAL + "command = 0\n", r"step\[0\]\.command: expected a whole number of 1 or more, not 0$"),
        (MINIMAL + "settle = 1\n", r"step\[0\]\.settle: expected true or false, not 1$"),
        (MINIMAL + "command = true\n", r"step\[0\]\.command: expected a whole number of 1 or more, not true$"),
        (MINIMAL + 'only = "auto"\n', r"step\[0\]\.only: expected 'func_id' or 'vhca_id', not 'auto'$"),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\n',
            r"step\[1\]: the key 'pages' is missing; expected a whole number from -2147483648 to 2147483647$",
        ),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\npages = 2147483648\n',
            r"step\[1\]\.pages: expected .* to 2147483647, not 2147483648$",
        ),
        (
            MINIMAL + '[[step]]\ndo = "request"\nfunction = "self"\npages = -2147483649\n',
            r"step\[1\]\.pages: expected a whole number from -2147483648 to .*, not -2147483649$",
        ),
        (MINIMAL + FUNCTION + "pages = -1\n", r"function\[0\]\.pages: expected .* from 0 to 2147483647, not -1$"),
        (MINIMAL + FUNCTION + "pages = {}\n", r"function\[0\]\.pages: expected .*, not a table$"),
        (MINIMAL + FUNCTION + "index = 65536\n", r"function\[0\]\.index: expected .* from 0 to 65535, not 65536$"),
        (MINIMAL + FUNCTION.replace("0x31", "0x10000"), r"function\[0\]\.vhca_id: expected .* to 65535, not 65536$"),
        (MINIMAL + FUNCTION.replace('"vf"', '"zf"'), r"function\[0\]\.type: expected 'adjacent_vf', .*'vf', not 'zf'$"),
        (
            MINIMAL + FUNCTION.replace('"vf0"', '"VF 0"'),
            r"function\[0\]\.name: expected text of the form .* not 'VF 0'$",
        ),
        (MINIMAL + "[bounds]\nqueue = 0\n", r"bounds\.queue: expected a whole number from 1 to 1048576, not 0$"),
        (MINIMAL + "[bounds]\nmemory = 1000000000000\n", r"bounds\.memory: expected .*, not 1000000000000$"),
        (MINIMAL + "[bounds]\nqueue = 0x1" + 90 * "0", r"bounds\.queue: expected .*, not one of 361 bits$"),
        (MINIMAL + "[bounds]\ncommand = -1\n", r"bounds\.command: expected a number from 0 to 1000000000, not -1$"),
        (MINIMAL + '[bounds]\nqueue = "many"\n', r"bounds\.queue: expected .*, not 'many'$"),
        (MINIMAL + f"[bounds]\nqueue = '{'a' * 99}'\n", r"bounds\.queue: expected .*, not 'a{59}…$"),
        (
            MINIMAL + "[assume]\nhost_pages = true\n",
            r"assume: there is no key 'host_pages'; expected 'another_ahead', ",
        ),
        (MINIMAL + "[assume]\nhost_pages_4k = 'on'\n", r"assume\.host_pages_4k: expected true or false, not 'on'$"),
        (MINIMAL + "[expect]\nalways = ['a', 3]\n", r"expect\.always\[1\]: expected text, not 3$"),
        (MINIMAL + "[expect]\nalways = 'a'\n", r"expect\.always: expected a list, not 'a'$"),
        (
            MINIMAL.replace("[[step]]", "capabilities = {uar_4k = 1, log_max_eq = -1}\n[[step]]"),
            r"device\.capabilities\.log_max_eq: expected a whole number from 0 to 4294967295, not -1$",
        ),
        ("[device]\nprofile = 'connectx7'\n", r"the key 'step' is missing; expected a list of tables, at least 1$"),
        ("step = []\n[device]\nprofile = 'connectx7'\n", r"step: expected a list of tables, .*, not an empty list$"),
        ("step = [3]\n[device]\nprofile = 'connectx7'\n", r"step\[0\]: expected a table, not 3$"),
        (
            "step = [{do = []}]\n[device]\nprofile = 'connectx7'\n",
            r"step\[0\]\.do: expected 'open', .*, not an empty list$",
        ),
        ("device = 3\n" + MINIMAL[MINIMAL.index("[[") :], r"device: expected a table, not 3$"),
        ("[[step]]\ndo = 'open'\n", r"the key 'device' is missing; expected a table$"),
        ("[device", r"not TOML"),
        ("", r"the key 'device' is missing"),
        ("step = " + "[" * 100_000, "lists or tables are nested too deeply in it"),
        (MINIMAL + "[bounds]\nqueue = " + "9" * 5000, "a number in it is too long: expected 64 bits at most$"),
    ],
)
def test_an_error_names_the_key_path(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=r"^here\.toml: .*" + words):
        load("here.toml", text)


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e300"])
@pytest.mark.parametrize("key", ['[[step]]\ndo = "wait"\nseconds', "at", "[bounds]\ncommand"])
def test_times_are_finite(key: str, seconds: str) -> None:
    with pytest.raises(ScenarioError, match=r"(step\[[01]\]\.(seconds|at)|bounds\.command): expected"):
        load("here.toml", f"{MINIMAL}{key} = {seconds}\n")


def test_a_byte_order_mark_is_no_statement(tmp_path: Path) -> None:
    """Some editors write one, whether the text comes from a file or not."""
    marked = tmp_path / "marked.toml"
    marked.write_text(MINIMAL, "utf-8-sig")
    assert load(str(marked)) == load("-", "\ufeff" + MINIMAL) == load("-", MINIMAL)


def test_files_and_names_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match=r"there is no scenario 'nosuch'; there are .*connectx7.*; did you mean no-eswitch\?"
    ):
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
