from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.device import profile
from fwpages.device.profiles import parse

GOLDEN = Path(__file__).parents[1] / "golden"
LOG = GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"


def test_from_a_kernel_log(tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    assert invoke(["import-profile", str(LOG), "-o", str(out)]) == 0
    p = profile(str(out))
    assert (p.name, p.boot_pages, p.init_pages, p.vhca_id, p.ecpf) == ("mine", 6, 2489, 5, False)
    assert p.max["icm_mng_function_id_mode"] == 1
    assert "icm_mng_function_id_mode" not in p.current
    assert {(0, False), (0, True)} <= p.capability_pages.keys()


def test_to_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["import-profile", str(LOG), "--name", "Some Card"]) == 0
    assert parse(capsys.readouterr().out, "test").name == "some-card"


def test_as_json_it_has_the_keys_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.toml"
    assert invoke(["import-profile", str(LOG), "--json", "-o", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"schema": "profile/1", "profile": tomllib.loads(out.read_text("utf-8"))}
    assert printed["profile"]["boot_pages"] == 6


def test_log_without_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("[    1.0] mlx5_core 0000:01:00.0: firmware version: 28.39.1002\n")
    assert invoke(["import-profile", str(log)]) == 2
    assert "does not show the start of a device" in capsys.readouterr().err


def test_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["import-profile", str(tmp_path / "none")]) == 2
    assert invoke(["import-profile", str(LOG), "-o", str(tmp_path / "no" / "x.toml")]) == 2
    assert "--output" in capsys.readouterr().err
