"""Dey et al. 2021: FEAR, ranking architectures by features of early reach (arXiv 2106.04010)."""
