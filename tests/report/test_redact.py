"""A report that is handed on names no machine, and the same name is the same token."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.report.redact import Redactor

LINE = "mlx5_core 0000:5e:00.0: Sensor name[0]: asic {}"


def _audit(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> str:
    invoke(["audit", "--redact", *options, str(path)])
    out, err = capsys.readouterr()
    return out + err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("0c:42:a1:7b:00:1f", "mac"),
        ("0C-42-A1-7B-00-1F", "mac"),
        ("248a:0703:00a1:b2c4", "guid"),
        ("0x248a070300a1b2c4", "guid"),
        ("MT2045X00417", "serial"),
        ("10.31.7.9", "ip"),
        ("fe80::bace:f6ff:fe00:1122", "ip"),
        ("2001:db8::1", "ip"),
        ("2001:db8::", "ip"),
        ("::ffff:10.31.7.9", "ip"),
        ("2001:db8:0:1:2:3:4:5", "ip"),
        ("2001:0db8:0000:0001:0002:0003:0004:0005", "ip"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",), ("--full",)])
def test_names_with_a_form_are_hidden(
    name: str, kind: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "log.txt"
    hot = "mlx5_core 0000:5e:00.0: High temperature on sensors with bit set 0 0x1"
    path.write_text(f"[ 1.0] {hot}\n[ 1.1] {LINE.format(name)}\n")
    out = _audit(capsys, path, *options)
    assert name not in out
    assert f"{kind}1" in out
    assert "0000:5e:00.0" in out


def test_hosts_and_files_are_hidden_in_reports(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "gpu03-dmesg.txt"
    version = "mlx5_core 0000:5e:00.0: firmware version: 28.39.1002"
    path.write_text(f"Aug 12 13:00:01 gpu03 kernel: {version}\nAug 12 13:10:01 gpu04.example kernel: {version}\n")
    out = _audit(capsys, path, "--json")
    assert "gpu" not in out
    assert "lines of the host host2 follow those of host1" in out


def test_hosts_are_hidden_in_errors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "both.txt"
    lines = [f"{node}: [ {n}.0] mlx5_core 0000:5e:00.0: firmware version: 28.39.1002" for n, node in enumerate("abab")]
    path.write_text("".join(line.replace(":", "-node:", 1) + "\n" for line in lines))
    out = _audit(capsys, path)
    assert "-node" not in out
    assert "host1" in out
    assert "both.txt" not in out


@pytest.mark.parametrize("text", ["0000:74:00.1", "fw_ver 22.44.1036", "0x21492f38", "13:00:01", "2,137 pages"])
def test_what_a_report_is_about_stays(text: str) -> None:
    assert Redactor(["log.txt"], {"gpu03"}).text(text) == text


@pytest.mark.parametrize("text", ["({})", "from {}.", "addr:{}", "{}: no answer", "{}"])
@pytest.mark.parametrize(
    ("name", "token"),
    [("10.31.7.9", "ip1"), ("fe80::1", "ip1"), ("0c:42:a1:7b:00:1f", "mac1"), ("248a:0703:00a1:b2c4", "guid1")],
)
def test_a_name_is_hidden_whatever_stands_around_it(name: str, token: str, text: str) -> None:
    assert Redactor().text(text.format(name)) == text.format(token)


@pytest.mark.parametrize("written", ["gpu03.corp.example.com", "gpu03.example", "gpu03"])
@pytest.mark.parametrize("host", ["gpu03", "gpu03.corp.example.com"])
def test_a_host_is_hidden_with_its_domain(host: str, written: str) -> None:
    assert Redactor(hosts={host}).text(f"failed on {written}. Again: {written}") == "failed on host1. Again: host1"


def test_the_same_name_is_the_same_token() -> None:
    r = Redactor(hosts={"n1.example", "n2"})
    assert r.text("n1.example n2 n1 0c:42:a1:7b:00:1f") == "host1 host2 host1 mac1"
    assert r.text("0c:42:a1:7b:00:1e after 0c:42:a1:7b:00:1f") == "mac2 after mac1"
