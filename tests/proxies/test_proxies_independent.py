"""Every proxy a second time, from its definition: a few lines of numpy and tapes on the Keras model, in float64."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import proxies
from proxies.passes import Passes
from tests import proxies_cases as case
from tests.engine_cases import keras_model, random_weights
from tests.proxies_cases import LABELS
from tests.tfnas.engine.test_engine_second_order import with_explicit_norms
from tfnas.engine import reference
from tfnas.networks.builder import GraphBuilder, with_input_shape
from tfnas.networks.keras_model import to_keras

KERNELS = [node.name for node in case.graph().weight_nodes()]
RELUS = [node.name for node in case.graph().nodes if node.op == "activation"]
NORMS = [node for node in case.graph().nodes if node.op == "batch_norm"]
# The stem, cells and reductions.
BLOCKS = [
    "stem.1" if i < 0 else [node.name for node in case.graph().nodes if node.name.startswith(f"cells.{i}.")][-1]
    for i in range(-1, 5)
]

INDEPENDENT = {}


def second_computation(function):
    """Registers a computation under its name."""
    INDEPENDENT[function.__name__] = function
    return function


def noise(count, *labels, shape=()):
    """The noise images of a proxy; how they are drawn is no part of its definition."""
    return Passes(case.graph(), case.weights(), case.images(), LABELS, proxies.Options()).noise(
        count, *labels, shape=shape
    )


def kernels(model):
    return {name: model.get_layer(name).kernel for name in KERNELS}


def loss(logits, labels=LABELS):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def gradients(images=None, labels=LABELS):
    """(W, dL/dW) of every convolution and dense kernel."""
    model = case.model()
    with tf.GradientTape() as tape:
        value = loss(reference.logits(model, case.images() if images is None else images, "batch"), labels)
    values = [kernel.value for kernel in kernels(model).values()]
    found = tape.gradient(value, values, unconnected_gradients="zero")
    return [(weight.numpy(), gradient.numpy()) for weight, gradient in zip(values, found, strict=True)]


# Size ----------------------------------------------------------------------------------------------------------------


@second_computation
def params():
    return sum(math.prod(variable.shape) for variable in case.model().trainable_variables)


@second_computation
def flops():
    """Pixels of the output times entries of the kernel, and the bias of the classifier."""
    total = 0
    for name, kernel in kernels(case.model()).items():
        layer = case.model().get_layer(name)
        total += math.prod(layer.output.shape[1:-1]) * math.prod(kernel.shape)
    return total + case.NETWORK["classes"]


@second_computation
def l2_norm():
    return sum(math.sqrt(np.sum(kernel.numpy() ** 2)) for kernel in kernels(case.model()).values())


# Gradients of a batch ------------------------------------------------------------------------------------------------


@second_computation
def grad_norm():
    return sum(math.sqrt(np.sum(g**2)) for _, g in gradients())


@second_computation
def plain():
    return sum(np.vdot(w, g) for w, g in gradients())


@second_computation
def snip():
    return sum(np.sum(np.abs(w * g)) for w, g in gradients())


@second_computation
def grasp():
    """-sum w (H g), by nested tapes through norms that write their statistics out."""
    arrays = {key: value for key, value in case.weights().items() if ".moving_" not in key}
    model = keras_model(with_explicit_norms(case.graph()), arrays)
    values = [kernel.value for kernel in kernels(model).values()]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = loss(reference.logits(model, case.images(), "batch"))
        first = inner.gradient(value, values, unconnected_gradients="zero")
        product = tf.add_n([tf.reduce_sum(g * tf.stop_gradient(g)) for g in first])
    second = outer.gradient(product, values, unconnected_gradients="zero")
    return -sum(np.vdot(w.numpy(), h.numpy()) for w, h in zip(values, second, strict=True))


@second_computation
def fisher():
    """Channel by channel, with the outputs z of the layers and the loss' derivative by them."""
    with tf.GradientTape() as tape:
        maps = case.outputs(KERNELS, case.images())
        value = loss(maps.pop("logits"))
    total = 0.0
    for (name, z), dz in zip(maps.items(), tape.gradient(value, list(maps.values())), strict=True):
        fan_in = math.prod(kernels(case.model())[name].shape[:-1])
        for channel in range(z.shape[-1]):
            per_image = [np.sum(z[n, ..., channel] * dz[n, ..., channel]) for n in range(len(LABELS))]
            total += np.mean(np.square(per_image)) / 2 * fan_in
    return total


def flow(graph):
    """sum |w dR/dw| for an image of ones through the absolute weights."""
    keys = {f"{node.name}.{param}" for node in graph.nodes for param, _ in node.params}
    model = keras_model(graph, {key: np.abs(case.weights()[key]) for key in keys})
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(np.ones((1, 8, 8, 3)), training=True))
    values = [kernel.value for kernel in kernels(model).values()]
    found = tape.gradient(total, values, unconnected_gradients="zero")
    return sum(np.sum(np.abs(w * g)) for w, g in zip(values, found, strict=True))


@second_computation
def synflow():
    """On a network that never had norms."""
    b = GraphBuilder(case.graph().input_shape)
    for node in case.graph().nodes[1:]:
        if node.op == "batch_norm":
            b.identity(node.name, *node.inputs)
        else:
            b._nodes[node.name] = node
    return flow(b.finish(case.graph().output))


@second_computation
def synflow_bn():
    return flow(case.graph())


@second_computation
def zico():
    halves = [gradients(case.images()[half], LABELS[half]) for half in (slice(0, 4), slice(4, 8))]
    total = 0.0
    for (_, one), (_, other) in zip(*halves, strict=True):
        mean, deviation = (np.abs(one) + np.abs(other)) / 2, np.abs(one - other) / 2
        moved = deviation > 0
        total += np.log(np.sum(mean[moved] / deviation[moved])) if moved.any() else 0
    return total


# The Jacobian of the images ------------------------------------------------------------------------------------------


def correlations():
    """Pearson correlations of the gradients of the sum of all logits by the images."""
    x = tf.constant(case.images(), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = reference.logits(case.model(), x, "batch")
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
    """Distinct codes of single units."""
    maps = case.outputs(RELUS, case.images())
    units = [(maps[name].numpy() > 0).reshape(len(LABELS), -1).T for name in RELUS if len(maps[name].shape) == 4]
    return len({tuple(unit) for layer in units for unit in layer})


@second_computation
def zen():
    """Two passes of noise; the running variances that PyTorch would then hold, which are the unbiased ones."""
    x, change = noise(16, "zen", 0, 0), noise(16, "zen", 0, 1)
    last = case.graph().by_name[case.graph().features].inputs[0]
    read = [norm.inputs[0] for norm in NORMS]
    passes = [case.outputs({last, *read}, batch) for batch in (x, x + 0.01 * change)]
    score = np.log(np.mean(np.sum(np.abs(passes[0][last] - passes[1][last]), axis=(1, 2, 3))))
    for norm in NORMS:
        running = case.weights()[f"{norm.name}.moving_variance"].astype(np.float64)
        for maps in passes:
            values = maps[norm.inputs[0]].numpy().reshape(-1, norm.shape[-1])
            running = 0.9 * running + 0.1 * values.var(axis=0, ddof=1)
        score += np.log(np.sqrt(running.mean()))
    return score


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


def entropies():
    maps = case.outputs(BLOCKS, case.images())
    for name in BLOCKS:
        rows = maps[name].numpy().reshape(-1, maps[name].shape[-1])
        values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
        shares = values / values.sum()
        yield -sum(p * np.log(p + 1e-8) for p in shares)


@second_computation
def aznas_expressivity():
    return sum(entropies())


@second_computation
def aznas_progressivity():
    values = list(entropies())
    return min(after - before for before, after in itertools.pairwise(values))


@second_computation
def aznas_trainability():
    with tf.GradientTape(persistent=True) as tape:
        maps = case.outputs(BLOCKS, case.images())
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


# Gradients of examples -----------------------------------------------------------------------------------------------


def signs():
    """sum_i sign(d loss_i / d w), by a loop over the images."""
    model = case.model()
    values = [kernel.value for kernel in kernels(model).values()]
    totals = [0.0] * len(values)
    for image, label in zip(case.images(), LABELS, strict=True):
        with tf.GradientTape() as tape:
            value = loss(reference.logits(model, image[None], "example"), [label])
        found = tape.gradient(value, values, unconnected_gradients="zero")
        totals = [total + np.sign(g) for total, g in zip(totals, found, strict=True)]
    return np.concatenate([np.ravel(total) for total in totals])


@second_computation
def gradsign():
    return np.abs(signs()).sum()


@second_computation
def gradsign_mean():
    return np.abs(signs()).mean()


def tangent_kernel(bn):
    """Of the sums of logits by kernels and gammas."""
    rows = reference.loop(case.model(), case.images(), np.ones((len(LABELS), case.NETWORK["classes"])), bn)
    rows = [row.reshape(len(LABELS), -1) for key, row in rows.items() if key.endswith((".kernel", ".gamma"))]
    return sum(row @ row.T for row in rows)


@second_computation
def fnorm():
    return math.sqrt(np.sum(tangent_kernel("batch") ** 2))


@second_computation
def ntk_mean():
    return np.sum(tangent_kernel("batch")) / len(LABELS) ** 2


@second_computation
def ncn():
    return -np.linalg.cond(tangent_kernel("inference"), 2)


@second_computation
def lga():
    same = [[1 if a == b else -1 for a in LABELS] for b in LABELS]
    return np.corrcoef(tangent_kernel("inference").ravel(), np.ravel(same))[0, 1]


def test_every_proxy_has_a_second_computation():
    assert set(INDEPENDENT) == set(proxies.names())


@pytest.fixture(scope="module")
def outcomes():
    return proxies.evaluate(
        case.graph(), case.weights(), case.images(), LABELS, proxies.names(), proxies.Options(dtype="float64")
    )


@pytest.mark.parametrize("name", proxies.names())
def test_second_computation(name, outcomes):
    expected = INDEPENDENT[name]()
    assert np.isfinite(expected)
    assert outcomes[name].score == pytest.approx(expected, rel=1e-6)


# Closed forms --------------------------------------------------------------------------------------------------------


def linear_network(hidden=(7, 6), classes=5):
    """Dense layers alone on images of 2 x 2 x 3."""
    b = GraphBuilder((2, 2, 3))
    x = b.flatten("flatten", "input")
    for i, units in enumerate(hidden):
        x = b.dense(f"dense_{i}", x, units, use_bias=False)
    graph = b.finish(b.dense("classifier", x, classes, use_bias=False), features=x)
    return graph, random_weights(graph)


def test_synflow_of_a_linear_network():
    """What flows through each layer is what flows through the network: layers times 1' |W1| |W2| |W3| 1."""
    graph, weights = linear_network()
    through = np.linalg.multi_dot([np.abs(value.astype(np.float64)) for value in weights.values()]).sum()
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    outcomes = proxies.evaluate(graph, weights, images, LABELS, ["synflow", "synflow_bn"])
    assert outcomes["synflow"].score == pytest.approx(3 * through, rel=1e-9)
    assert outcomes["synflow_bn"].score == pytest.approx(3 * through, rel=1e-9)


def test_tangent_kernel_of_one_dense_layer():
    """Theta_ij = C <x_i, x_j>; images alike in pairs give -inf for NCN and labels alike in pairs a high LGA."""
    graph, weights = linear_network(hidden=())
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    x = images.reshape(8, -1)
    outcomes = proxies.evaluate(
        graph, weights, images, LABELS, ["fnorm", "ntk_mean", "ncn"], proxies.Options(dtype="float64")
    )
    assert outcomes["fnorm"].score == pytest.approx(5 * np.linalg.norm(x @ x.T))
    assert outcomes["ntk_mean"].score == pytest.approx(5 * np.mean(x @ x.T))
    assert outcomes["ncn"].score == pytest.approx(-np.linalg.cond(x @ x.T), rel=1e-6)
    pairs = images[LABELS]
    twins = proxies.evaluate(graph, weights, pairs, LABELS, ["ncn", "lga"], proxies.Options(dtype="float64"))
    assert twins["ncn"].score == -np.inf
    assert twins["lga"].score > 0.8


def test_naswot_of_twins_is_minus_infinity():
    twins = np.repeat(case.images()[:4], 2, axis=0)
    outcome = proxies.evaluate(case.graph(), case.weights(), twins, LABELS, ["naswot"])["naswot"]
    assert outcome.score == -np.inf
    assert outcome.status == "ok"


def test_jacob_cov_of_a_linear_network():
    """All images have one gradient: eigenvalues N, 0, ..., 0."""
    graph, weights = linear_network()
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 3))
    score = proxies.evaluate(graph, weights, images, LABELS, ["jacob_cov"], proxies.Options(dtype="float64"))
    v = np.array([8.0] + [0.0] * 7) + 1e-5
    assert score["jacob_cov"].score == pytest.approx(-np.sum(np.log(v) + 1 / v), rel=1e-6)


# Aggregates ----------------------------------------------------------------------------------------------------------


def pool(names, count=12):
    """Scores with ties and without."""
    rng = np.random.default_rng(7)
    return {name: rng.permutation(np.r_[np.arange(count - 3), [1, 1, 5]]).astype(float) for name in names}


def test_vote():
    """For each network the number of others that at least two of the three scores put below it."""
    names = ["synflow", "jacob_cov", "snip"]
    scores = pool(names)
    scores["snip"][4] = np.nan
    expected = np.zeros(12)
    for i in range(12):
        for j in range(12):
            wins = sum(scores[name][i] > scores[name][j] for name in names)
            losses = sum(scores[name][i] < scores[name][j] for name in names)
            expected[i] += wins > losses
    np.testing.assert_array_equal(proxies.aggregate("vote", scores), expected)


def test_aznas():
    """sum log(rank / n), with rank the number of networks below, half of those alike, and itself."""
    names = ["aznas_expressivity", "aznas_progressivity", "aznas_trainability", "flops"]
    scores = pool(names)
    expected = [
        sum(np.log((np.sum(s < s[i]) + (np.sum(s == s[i]) + 1) / 2) / 12) for s in scores.values()) for i in range(12)
    ]
    np.testing.assert_allclose(proxies.aggregate("aznas", scores), expected)
    best = {name: np.arange(3.0) for name in names}
    assert proxies.aggregate("aznas", best)[2] == 0


def test_aggregates_need_their_scores():
    with pytest.raises(ValueError, match=r"Unknown aggregate.*vote"):
        proxies.aggregate("sum", {})
    with pytest.raises(ValueError, match="score needed by vote"):
        proxies.aggregate("vote", {"synflow": np.ones(3), "snip": np.ones(3)})


def test_the_keras_model_is_the_same_network():
    """What all second computations rest on; in float32 too."""
    single = to_keras(case.graph(), case.weights())(case.images(), training=True)
    double = reference.logits(case.model(), case.images(), "batch")
    np.testing.assert_allclose(single, double, atol=1e-4)
    assert isinstance(case.model(), keras.Model)
