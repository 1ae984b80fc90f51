"""Registers of ACCESS_REG: their numbers, and the layouts of those by which a device tells a function's pages.

Source: Linux, ``mlx5_ifc.h`` (``nic_cap_reg``, ``vhca_icm_ctrl_reg``) and ``enum mlx5_reg`` of ``driver.h``.
"""

from __future__ import annotations

from fwpages.prm.layout import Field, Layout

#: op_mod of ACCESS_REG that reads a register; 0 writes it
READ = 1
#: the register that tells which other registers there are; offered by the capability ``nic_cap_reg``
NIC_CAP = 0xC00D
#: the register that tells a driver its time-outs (``prm.timeouts``)
DTOR = 0xC00E
#: the register that tells a function's pages
VHCA_ICM_CTRL = 0xC010

NIC_CAP_LAYOUT = Layout("nic_cap_reg", 16, (Field("vhca_icm_ctrl", 0x1A, 1),))
#: ``cur_alloc_icm`` counts pages of 4 KiB; the function is the supplier's own unless ``vhca_id_valid``
VHCA_ICM_CTRL_LAYOUT = Layout(
    "vhca_icm_ctrl_reg",
    64,
    (Field("vhca_id_valid", 0x0, 1), Field("vhca_id", 0x10, 16), Field("cur_alloc_icm", 0xC0, 32)),
)
