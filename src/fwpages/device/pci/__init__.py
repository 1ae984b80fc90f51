"""The PCI function of a device: configuration space, MSI-X, SR-IOV."""
