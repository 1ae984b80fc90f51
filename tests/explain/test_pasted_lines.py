"""Lines of mlx5_core's, commands by name and numbers are explained in words."""

from __future__ import annotations

import pytest

from fwpages.explain.explanation import ExplainError, Message
from fwpages.explain.pasted_bytes import explain_text
from fwpages.explain.pasted_lines import CUT, explain_number
from fwpages.readers.driver_messages import WORDINGS, Wording


def _meanings(m: Message) -> dict[str, str]:
    return {f.name: f.meaning for f in m.fields}


@pytest.mark.parametrize(
    ("line", "title", "shown"),
    [
        (
            "[ 12.5] mlx5_core 0000:6d:00.0: mlx5_cmd_out_err:800:(pid 7): CREATE_MKEY(0x200) op_mod(0x0) failed, "
            "status limits exceeded(0x8), syndrome (0x18af6), err(-12)",
            "CREATE_MKEY: refused, limits exceeded (0x8)",
            {"opcode": "CREATE_MKEY", "status": "limits exceeded (0x8)", "err": "-12 (ENOMEM, out of memory)"},
        ),
        (
            "mlx5_core0: ERR: mlx5_cmd_check:700:(pid 9): MANAGE_PAGES(0x108) op_mod(0x1) failed, "
            "status bad parameter(0x3), syndrome (0x1)",
            "MANAGE_PAGES: refused, bad parameter (0x3)",
            {"op_mod": "GIVE", "status": "bad parameter (0x3)"},
        ),
        (
            "cmd[31]: MANAGE_PAGES(0x108) Async, timeout. Will cause a leak of a command resource",
            "MANAGE_PAGES: the driver stops waiting; the command keeps its slot until it is answered",
            {"opcode": "MANAGE_PAGES"},
        ),
        ("print_health_info:447:(pid 0): synd 0x7: irisc not responding", "irisc not responding", {}),
        (
            "[ 432.1] DMAR: [DMA Write NO_PASID] Request device [3b:00.4] fault addr 0xfe800000 [fault reason 0x05]",
            "the IOMMU blocked an access of the device to memory",
            {},
        ),
        (
            "Failed giving 512 pages to func:3 due to exceeding the limit:4096, curr_pages:4096",
            "the function's limit of pages, which an administrator set, is reached",
            {},
        ),
        (
            "Flow group 19 wasn't destroyed, refcount > 1",
            "the driver keeps the object, as something uses it; firmware keeps its pages",
            {},
        ),
        ("Fatal error 3 detected", "the NIC interface is disabled", {"sensor": "the NIC interface is disabled"}),
    ],
)
def test_a_line_is_explained_by_its_numbers(line: str, title: str, shown: dict[str, str]) -> None:
    [m] = explain_text(line)
    assert m.title == title
    assert _meanings(m).items() >= shown.items()


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda w: w.example)
@pytest.mark.parametrize("front", ["", "[   12.5] mlx5_core 0000:3b:00.0: "])
def test_every_line_that_an_audit_reads_is_explained(wording: Wording, front: str) -> None:
    function = next((f"{name}:1:(pid 1): " for name in wording.printed_by), "")
    [m] = explain_text(front + function + wording.example)
    assert (m.kind, bool(m.title)) == ("line", True)
    assert m.title not in ("", CUT)


@pytest.mark.parametrize(
    ("line", "title", "shown"),
    [
        ("handle_hca_cap failed", "a step of the load failed, and the load with it", {}),
        (
            "mlx5_core: probe of 0000:3b:00.0 failed with error -12",
            "the load failed: the driver does not use the function",
            {"err": "-12 (ENOMEM, out of memory)"},
        ),
        (
            "npages 6, ec_function 0, func_id 0x0, err 0",
            "the driver gave pages to firmware (GIVE)",
            {"npages": "", "function": ""},
        ),
    ],
)
def test_a_line_about_no_command_has_its_kind_and_its_numbers(line: str, title: str, shown: dict[str, str]) -> None:
    [m] = explain_text(line)
    assert m.title == title
    assert _meanings(m).items() >= shown.items()


FOLDED = "CREATE_EQ(0x301) op_mod(0x0) failed,\nstatus bad parameter(0x3), syndrome (0x389e56)"


@pytest.mark.parametrize(
    "text",
    [
        FOLDED,
        "> " + FOLDED.replace("\n", "\n> "),
        FOLDED.replace(" failed,\nstatus", "\nfailed, status"),
        "[ 1.5] mlx5_core 0000:3b:00.0: " + FOLDED + "\n[ 1.6] mlx5_core 0000:3b:00.0: no line of an audit's",
    ],
)
def test_a_command_whose_line_was_folded_is_one_line(text: str) -> None:
    [m] = explain_text(text)
    assert m.title == "CREATE_EQ: refused, bad parameter (0x3)"
    assert {f.name for f in m.fields} >= {"opcode", "status", "syndrome"}


def test_a_command_whose_line_is_cut_says_so() -> None:
    [m] = explain_text(FOLDED.split("\n", maxsplit=1)[0])
    assert m.title == f"CREATE_EQ: {CUT}"


def test_a_line_of_another_part_of_the_kernel_says_which_function_it_is_about() -> None:
    [m] = explain_text("pcieport 0000:16:00.0: AER: Uncorrected (Fatal) error received: 0000:17:00.0")
    assert "about the function 0000:17:00.0" in m.notes
    [m] = explain_text("pcieport 0000:64:02.0: pciehp: Slot(4): Link Down")
    assert "about what is below the port 0000:64:02.0" in m.notes


def test_a_commands_syndrome_is_the_vendors_to_explain() -> None:
    [m] = explain_text("ACCESS_REG(0x805) op_mod(0x1) failed, status bad parameter(0x3), syndrome (0x15c356), err(-22)")
    assert any("vendor" in note and "devlink dev info" in note for note in m.notes)


def test_each_line_of_a_paste_is_explained() -> None:
    lines = ("Fatal error 5 detected", "nothing of interest", "INIT_HCA(0x102) No done completion")
    assert [m.fields[0].name for m in explain_text("\n".join(lines))] == ["sensor", "opcode"]


@pytest.mark.parametrize("name", ["MANAGE_PAGES", "query_pages", "ENABLE_HCA"])
def test_a_command_is_explained_by_its_name(name: str) -> None:
    [m] = explain_text(name)
    assert m.title.startswith(name.upper())
    assert any("function_id" in note for note in m.notes)


@pytest.mark.parametrize(
    ("kind", "number", "words"),
    [
        ("status", "0x8", "limits exceeded"),
        ("status", "0x77", "unknown status"),
        ("syndrome", "0x10", "High temperature"),
        ("syndrome", "0x18af6", "unrecognized"),
        ("errno", "-110", "ETIMEDOUT"),
        ("errno", "12", "ENOMEM"),
    ],
)
def test_a_number_is_explained_by_its_kind(kind: str, number: str, words: str) -> None:
    assert words in explain_number(kind, number).title


def test_what_is_no_number_is_misuse() -> None:
    with pytest.raises(ExplainError, match="no number"):
        explain_number("status", "bad")


@pytest.mark.parametrize("number", ["0x108", "108", "0x0108"])
def test_the_number_of_an_opcode_is_explained_as_its_name_is(number: str) -> None:
    assert explain_text(number) == explain_text("MANAGE_PAGES")


def test_a_number_that_is_no_opcode_says_how_numbers_are_explained() -> None:
    with pytest.raises(ExplainError, match="--syndrome"):
        explain_text("0xfff")
