"""Mok et al. 2022: Demystifying the neural tangent kernel from a practical perspective (CVPR)."""
