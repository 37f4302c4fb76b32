"""Park et al. 2020: Towards NNGP-guided neural architecture search (arXiv 2011.06006)."""
