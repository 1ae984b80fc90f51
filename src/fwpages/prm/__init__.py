"""The contract between host and device, as pure values and codecs (``mlx5_ifc.h``, ``device.h``)."""
