"""What scores and trainings cost in FLOPs, by the equations of the paper.

Source: Park et al., "Towards NNGP-guided Neural Architecture Search" (arXiv 2011.06006), equations (4), (5) and, in its
supplement, (S1), (S2), (S4). F is the FLOPs of a network for one image, a multiply-add counted as two. All sizes are
counts and all results FLOPs, both for one network; `PFLOP` is the paper's unit.
"""

PFLOP = 1e15


def kernel_flops(flops: float, n_train: int, n_val: int, ensemble: int, features: int = 512) -> float:
    """Kernel evaluation, (S1): n_ensemble (F N + 2 d N_train N) with N = N_train + N_val.

    Args:
        flops: F, of the network for one image.
        n_train: images of the training part.
        n_val: images of the validation part.
        ensemble: number of initialisations.
        features: d, length of the penultimate vector.
    """
    images = n_train + n_val
    return ensemble * (flops * images + 2 * features * n_train * images)


def inference_flops(n_train: int, n_val: int, regularizers: int = 20, classes: int = 10) -> float:
    """Cholesky solve and prediction for r regularisers, (S2): r (N_train^3 / 3 + 2 L N_train^2 + 2 L N_train N_val).

    The second term is printed with a further L, which neither a triangular solve for L columns nor (S3) has; it is
    left out here.
    """
    return regularizers * (n_train**3 / 3 + 2 * classes * n_train * (n_train + n_val))


def nngp_flops(
    flops: float,
    n_train: int,
    n_val: int,
    ensemble: int,
    *,
    features: int = 512,
    regularizers: int = 20,
    classes: int = 10,
    verbatim: bool = True,
) -> float:
    """All of an NNGP score, (4): n_ensemble F N + r N_train^3 / 3 + 2 (d n_ensemble + 2 L r) N_train N.

    Args:
        flops: F, of the network for one image.
        n_train: images of the training part.
        n_val: images of the validation part; N is the sum of both.
        ensemble: number of initialisations.
        features: d, length of the penultimate vector.
        regularizers: r, how many are tried.
        classes: L.
        verbatim: as printed. The printed sum counts the solve's term in L twice; without `verbatim` it is (S1) + (S2),
            which has L r where (4) has 2 L r. On NAS-Bench-101 the two differ by less than 0.2 %.
    """
    consistent = kernel_flops(flops, n_train, n_val, ensemble, features) + inference_flops(
        n_train, n_val, regularizers, classes
    )
    return consistent + (2 * classes * regularizers * n_train * (n_train + n_val) if verbatim else 0)


def training_flops(
    flops: float, epochs: float, n_train: int = 40_000, n_val: int = 10_000, *, step: float = 2.0
) -> float:
    """Training and one validation, (5): E G N_train + F N_val with G = 2 F.

    Args:
        flops: F, of the network for one image.
        epochs: E.
        n_train: images in the whole training set.
        n_val: images in the whole validation set.
        step: G / F, FLOPs of a training step for one image in units of F.
    """
    return epochs * step * flops * n_train + flops * n_val
