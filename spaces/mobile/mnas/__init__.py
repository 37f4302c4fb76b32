"""The MNAS search space, its published networks and what was measured of them."""
