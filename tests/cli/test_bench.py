from __future__ import annotations

import json

import pytest

from fwpages import cli


def test_json_has_its_schema_and_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["bench", "--case", "import", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["schema"] == "bench/1"
    assert out["rounds"] == 5
    (r,) = out["results"]
    assert {"case", "pages", "batch", "order", "ns_per_page", "spread", "peer", "ratio"} <= {*r}
    assert (r["case"], r["peer"], r["ratio"]) == ("import", None, None)
    assert r["spread"][0] <= r["seconds"] <= r["spread"][1]


def test_a_table_is_not_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["bench", "--case", "release-all"]) == 0
    shown = capsys.readouterr()
    assert "release-all" in shown.out
    assert "…" not in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("args", [["--case", "nonsense"], ["--rounds", "4"], ["stray"]])
def test_misuse(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["bench", *args]) == 2
    assert capsys.readouterr().err
