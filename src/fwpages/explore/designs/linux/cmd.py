"""mlx5_cmd_exec (cmd.c): a command, its reply as an error number, and what is made of a good answer."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.explore.designs.linux.errors import EIO, ENOLINK, ENXIO, EREMOTEIO
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.threads import Kernel, Outcome, Reply, ReplyFrame
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, opcode_name

#: commands that look done where they cannot be delivered (cmd.c:mlx5_internal_err_ret_value); the others -ENOLINK
_PRETENDED = frozenset(
    {
        Opcode.TEARDOWN_HCA,
        Opcode.DISABLE_HCA,
        Opcode.MANAGE_PAGES,
        Opcode.DESTROY_EQ,
        Opcode.DEALLOC_UAR,
        Opcode.DEALLOC_SF,
    }
)


def checked(kernel: Kernel, opcode: int, reply: Reply) -> int:
    """cmd.c:mlx5_cmd_check: the error number, 0 where the command was carried out or looks so."""
    if reply.err == ENXIO:
        return 0 if opcode in _PRETENDED else ENOLINK
    if reply.err:
        how = f"refused: {reply.answer}" if reply.err == EREMOTEIO else f"ended with {reply.err}"
        kernel.find(LinuxCause.COMMAND_FAILED, detail=f"{opcode_name(opcode)} {how}")
        return EIO if reply.err == EREMOTEIO else reply.err
    return 0


@dataclass(frozen=True, slots=True)
class Executed(ReplyFrame):
    """mlx5_cmd_exec's end. Subclasses make something of the answer."""

    opcode: int

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """The error number, or the result of ``accept``."""
        err = checked(kernel, self.opcode, reply)
        return err if err or reply.answer is None else self.accept(kernel, reply.answer)

    def accept(self, kernel: Kernel, answer: Answer) -> int:  # noqa: ARG002  # of most commands it is only known
        """Take over what an answer with a good status says; an error number if it cannot be read."""
        return 0


def execute(kernel: Kernel, command: Command, then: type[Executed] = Executed) -> Outcome:
    """mlx5_cmd_exec, to be returned: 0 where the command was carried out, else its error."""
    return kernel.command(command, then(command.opcode))
