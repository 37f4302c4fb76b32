"""Wen et al. 2020: Neural Predictor for neural architecture search (ECCV)."""
