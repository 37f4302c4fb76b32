"""Predictors of accuracy that learn from a few trained networks (Wen et al., "Neural Predictor for Neural Architecture
Search", ECCV 2020).

    graphs    architectures as arrays; whatever space they are of
    settings  what a predictor is and how it is trained
    gcn       the graph convolutional network, several predictors side by side
    training  several predictors as one batch
    model     one or two stages that predict, and files of them
    choosing  errors by cross-validation, and the width that follows from them
    baselines scikit-learn on flat encodings
    pareto    the soft front of accuracy and latency

Importing this package, `graphs`, `settings` or `pareto` imports no TensorFlow.
"""
