"""The Jacobian of the images, activation patterns, feature changes and blocks."""

import itertools

import numpy as np
import tensorflow as tf

from tests import proxies_cases as case
from tests.engine_cases import keras_model
from tests.proxies.independent import BLOCKS, NORMS, RELUS, noise, second_computation
from tests.proxies_cases import LABELS
from tfnas.engine import reference
from tfnas.networks.builder import with_input_shape

# The Jacobian of the images ------------------------------------------------------------------------------------------


def correlations(model=None):
    """Standardised gradients of the sum of all logits by the images: products of rows are their correlations."""
    x = tf.constant(case.images(), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = reference.logits(model or case.model(), x, "batch")
    rows = tape.gradient(y, x).numpy().reshape(len(LABELS), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@second_computation
def jacob_cov():
    """The squared singular values of standardised rows are the eigenvalues of their correlations."""
    values = np.linalg.svd(correlations(), compute_uv=False) ** 2 + 1e-5
    return -sum(np.log(v) + 1 / v for v in values)


@second_computation
def epe_nas():
    rows = correlations()
    total = 0.0
    for label in set(LABELS):
        members = np.flatnonzero(label == LABELS)
        total += abs(sum(np.log(abs(rows[i] @ rows[j]) + 1e-5) for i in members for j in members))
    return total


# Activation patterns -------------------------------------------------------------------------------------------------


@second_computation
def naswot():
    codes = {name: value.numpy() > 0 for name, value in case.outputs(RELUS, case.images()).items() if name in RELUS}
    kernel = np.zeros((len(LABELS),) * 2)
    for i in range(len(LABELS)):
        for j in range(len(LABELS)):
            kernel[i, j] = sum(np.count_nonzero(on[i] == on[j]) for on in codes.values())
    return np.linalg.slogdet(kernel)[1]


@second_computation
def linear_regions():
    """Distinct codes of whole images."""
    maps = case.outputs(RELUS, noise(1000, "regions", shape=case.graph().input_shape))
    codes = np.concatenate([(maps[name].numpy() > 0).reshape(1000, -1) for name in RELUS], axis=1)
    return len({code.tobytes() for code in codes})


@second_computation
def swap():
    return patterns(case.model(), case.images())


def patterns(model, images):
    """Distinct codes of single units."""
    maps = case.outputs(RELUS, images, model)
    units = [(maps[name].numpy() > 0).reshape(len(images), -1).T for name in RELUS if len(maps[name].shape) == 4]
    return len({tuple(unit) for layer in units for unit in layer})


@second_computation
def zen():
    return next(zen_of([(case.weights(), noise(16, "zen", 0, 0), noise(16, "zen", 0, 1))]))


def zen_of(draws):
    """Score after score of draws of (weights, images, change).

    Two passes of noise each, and the running variances that PyTorch would then hold, which are the unbiased ones.
    """
    last = case.graph().by_name[case.graph().features].inputs[0]
    read = [norm.inputs[0] for norm in NORMS]
    running = {norm.name: draws[0][0][f"{norm.name}.moving_variance"].astype(np.float64) for norm in NORMS}
    for arrays, x, change in draws:
        model = keras_model(case.graph(), arrays)
        passes = [case.outputs({last, *read}, batch, model) for batch in (x, x + 0.01 * change)]
        score = np.log(np.mean(np.sum(np.abs(passes[0][last] - passes[1][last]), axis=(1, 2, 3))))
        for norm in NORMS:
            for maps in passes:
                values = maps[norm.inputs[0]].numpy().reshape(-1, norm.shape[-1])
                running[norm.name] = 0.9 * running[norm.name] + 0.1 * values.var(axis=0, ddof=1)
            score += np.log(np.sqrt(running[norm.name].mean()))
        yield score


@second_computation
def meco():
    """Each module's map of one 64x64 image; modules are the layers and the blocks around them."""
    graph = with_input_shape(case.graph(), (64, 64, 3))
    modules = {}
    for node in graph.nodes[1:]:
        path = node.name.split(".")
        for depth in range(1, len(path)):
            if path[depth - 1] not in ("cells", "layers"):
                modules[tuple(path[:depth])] = node.name
        if node.op not in ("add", "pad"):
            modules[tuple(path)] = node.name
    maps = case.outputs(set(modules.values()), noise(1, "meco", shape=(64, 64, 3)), keras_model(graph, case.weights()))
    total = 0.0
    for name in modules.values():
        if len(maps[name].shape) == 4:
            channels = maps[name].numpy()[0].reshape(-1, maps[name].shape[-1]).T
            centred = channels - channels.mean(axis=1, keepdims=True)
            norms = np.linalg.norm(centred, axis=1)
            unit = np.divide(centred, norms[:, None], out=np.zeros_like(centred), where=norms[:, None] > 1e-9)
            total += np.linalg.eigvalsh(unit @ unit.T)[0]
    return total


# Blocks --------------------------------------------------------------------------------------------------------------


def entropies(model=None, images=None):
    maps = case.outputs(BLOCKS, case.images() if images is None else images, model)
    for name in BLOCKS:
        rows = maps[name].numpy().reshape(-1, maps[name].shape[-1])
        values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
        shares = values / values.sum()
        yield -sum(p * np.log(p + 1e-8) for p in shares)


@second_computation
def aznas_expressivity(model=None, images=None):
    return sum(entropies(model, images))


@second_computation
def aznas_progressivity(model=None, images=None):
    values = list(entropies(model, images))
    return min(after - before for before, after in itertools.pairwise(values))


@second_computation
def aznas_trainability(model=None, images=None):
    with tf.GradientTape(persistent=True) as tape:
        maps = case.outputs(BLOCKS, case.images() if images is None else images, model)
    scores = []
    for t, (after, before) in enumerate(zip(BLOCKS[::-1], BLOCKS[-2::-1], strict=False)):
        signs = 2.0 * np.random.RandomState(t).randint(0, 2, maps[after].shape) - 1
        pulled = tape.gradient(maps[after], maps[before], output_gradients=tf.constant(signs)).numpy()
        n, h, w, c = signs.shape
        stride = pulled.shape[1] // h
        products = np.zeros((stride, stride, pulled.shape[-1], c))
        for row in range(stride):
            for column in range(stride):
                part = pulled[:, row::stride, column::stride]
                products[row, column] = np.einsum("nhwi,nhwo->io", part, signs) / (n * h * w)
        s = np.linalg.svd(products.reshape(-1, c), compute_uv=False)[0]
        scores.append(2 - s - 1 / (s + 1e-6))
    return np.mean(scores)
