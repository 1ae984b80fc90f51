"""A file beside the output: it gets its name when it is whole, or it is not there at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import click
import pytest

from fwpages.cli.files import written


def write(path: Path, *lines: str) -> None:
    with written("--out", path) as stream:
        for line in lines:
            stream.write(line)


def files(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text("utf-8") for p in folder.iterdir()}


@pytest.mark.parametrize("before", [None, "old\n"])
def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_text(before)
    with written("--out", path) as stream:
        stream.write("nè\n")
        stream.flush()
        assert files(tmp_path).get("out") == before, "whoever reads it meanwhile reads a whole file"
    assert files(tmp_path) == {"out": "nè\n"}
    assert path.read_bytes() == b"n\xc3\xa8\n", "in UTF-8, whatever the terminal has"


@pytest.mark.parametrize("before", [None, "old\n"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, click.UsageError])
def test_what_stops_halfway_leaves_what_was_there(
    tmp_path: Path, before: str | None, error: type[BaseException]
) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_text(before)

    def stopped() -> None:
        with written("--out", path) as stream:
            stream.write("half")
            raise error("its own words")

    with pytest.raises(error, match="its own words"):
        stopped()
    assert files(tmp_path) == ({} if before is None else {"out": before})


@pytest.mark.parametrize(("name", "words"), [("no/such/out", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_written_is_misuse_that_names_the_option(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(click.UsageError) as caught:
        write(tmp_path / name, "text")
    assert caught.value.message.startswith(f"--out {tmp_path / name}: {words}")
    assert files(tmp_path) == {"file": "a file"}


def test_a_full_disk_is_reported_and_the_device_stays_a_device() -> None:
    full = Path("/dev/full")
    with pytest.raises(click.UsageError, match="--out /dev/full: No space left on device"):
        write(full, "text")
    assert stat.S_ISCHR(full.stat().st_mode)


def test_a_pipe_is_written_into_as_it_is(tmp_path: Path) -> None:
    """Its reader gets the lines, and finds the pipe where it was."""
    pipe, got = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text("utf-8")))
    reader.start()
    write(pipe, "one\n", "two\n")
    reader.join(10)
    assert got == ["one\ntwo\n"]
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link_and_its_target_is_the_file(tmp_path: Path, dangling: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target", tmp_path / "link"
    if not dangling:
        target.write_text("old")
    link.symlink_to(target)
    write(link, "new")
    assert (link.is_symlink(), target.read_text(), sorted(p.name for p in (tmp_path / "far").iterdir())) == (
        True,
        "new",
        ["target"],
    )


def test_nothing_written_is_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "out")
    assert files(tmp_path) == {"out": ""}


def test_an_error_of_the_command_is_not_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), written("--trace", tmp_path / "t.jsonl"):
        raise ConnectionResetError("the device is gone")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file/t.jsonl", "loop", "no/t.jsonl"])
def test_a_path_that_leads_nowhere_is_misuse(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(click.UsageError, match="--trace"), written("--trace", tmp_path / name):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop"]
