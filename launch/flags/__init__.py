"""Groups of flags that several launchers share: which architectures, which networks, how the work is done."""
