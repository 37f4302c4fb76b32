"""Every number of golden/proxies, computed here in float64 and in float32.

The cases, the proxies and the arrays are those found in the files: a value that no test covers fails
`test_golden_values_are_all_covered`. Float64 is held to the numbers themselves, float32 to what it costs the network.
"""

import functools
import re

import numpy as np
import pytest
import scipy.special

import proxies
from proxies import aznas, meco, zen
from proxies.activations import count_patterns, count_regions
from proxies.ntk import condition_number, label_gradient_alignment
from proxies.passes import Passes
from proxies.pruning import _flow, _without_batch_norm
from tests import float32, golden
from tfnas.engine import Network, tangent_kernel
from tfnas.networks.builder import with_input_shape
from tfnas.networks.keras_model import to_keras

pytestmark = pytest.mark.usefixtures("shared")

# Proxies, and the names of their golden values.
PROXIES = {
    "grad_norm": ["grad_norm"],
    "snip": ["snip"],
    "grasp": ["grasp"],
    "fisher": ["fisher"],
    "plain": ["plain"],
    "synflow": ["synflow"],
    "synflow_bn": ["synflow_bn"],
    "jacob_cov": ["jacob_cov", "jacob_cov_eigvalsh"],
    "l2_norm": ["l2_norm"],
    "epe_nas": ["epe_nas"],
    "naswot": ["naswot_hook_logdet"],
    "gradsign": ["gradsign_sum"],
    "gradsign_mean": ["gradsign_mean", "gradsign_mean_usedonly"],
    "zico": ["zico", "zico_aznas_variant"],
}
NTK = re.compile(r"ntk_(sumlogit|trace)_(weight|all)_(train|eval)")
NTK_METRICS = ("fnorm", "mean", "eig_min", "eig_max", "cond", "ncn", "lga")
# Tolerance in float64 as a share of the largest entry.
EXACT = 1e-9
# What the reference computed in float32 in part.
LESS_EXACT = {"l2_norm": 1e-6, "l2_norm_per_layer": 1e-6, "zen_given_weights": 1e-6}
CASES = golden.case_names()
DTYPES = ("float64", "float32")


def by_dtype(names, groups):
    """(case, dtype, group) for pytest. The spread of deep networks takes half a minute."""
    return [
        pytest.param(
            name,
            dtype,
            group,
            id=f"{name}-{dtype}-{group.__name__}",
            # In float32 the sums over layers will do.
            marks=[pytest.mark.slow] * (dtype == "float32" and (not name.endswith("N1") or group is layers)),
        )
        for name in names
        for dtype in DTYPES
        for group in groups
    ]


def is_degenerate(case: golden.Case) -> bool:
    """Whether nothing of the image reaches the logits, so that kernels are singular and correlations undefined."""
    return np.ptp(case.arrays["logits_eval_f64"], axis=0).max() < 1e-9


def is_saturated(case: golden.Case) -> bool:
    """Whether float32 rounds a probability at inference to one, so that this example's loss has no gradient left."""
    return scipy.special.softmax(case.arrays["logits_eval_f64"], axis=1).astype(np.float32).max() == 1


def undefined(case: golden.Case, dtype: str) -> set[str]:
    """Golden values that are round-off."""
    keys = set()
    if is_degenerate(case):  # deviations of gradients that all are the same
        keys |= {"zico", "zico_aznas_variant"}
    if dtype == "float32" and is_saturated(case):
        keys.add("gradsign_sum_evalBN")
    return keys


def test_golden_values_are_all_covered():
    cheapest = min(CASES, key=lambda name: golden.load(name).graph.flops())
    case = golden.load(cheapest)
    covered = {key for group in GROUPS for key in group(case, case.weights, golden.inputs(), "float32")}
    covered |= {"gradsign_n_weights", "params", "macs_conv_linear_32x32", "tenas_cond_train", "tenas_cond_eval"}
    for name in CASES:
        case = golden.load(name)
        kernels = {f"{key}.{metric}" for key in filter(NTK.fullmatch, case.arrays) for metric in NTK_METRICS}
        for key in [*case.expected["float64"], *case.expected["float32"]]:
            assert key in covered | kernels, f"{name}: no test covers {key}"


def make_passes(case, weights, inputs, dtype, **options):
    extras = frozenset({"codes", "fisher", "hessian"})
    options = proxies.Options(dtype=dtype, **options)
    made = Passes(case.graph, weights, inputs["x"], inputs["y"], options, extras)
    made.bn = "batch"
    return made


def outputs(case, weights, inputs, dtype):
    found = golden.outputs(case.graph, weights, inputs["x"], dtype)
    for mode in golden.BN:
        log_probability = scipy.special.log_softmax(found[f"logits_{mode}"].astype(np.float64), axis=1)
        found[f"loss_{mode}"] = -log_probability[np.arange(len(inputs["y"])), inputs["y"]].mean()
    return found


def scores(case, weights, inputs, dtype):
    args = case.graph, weights, inputs["x"], inputs["y"]
    outcomes = proxies.evaluate(*args, PROXIES, proxies.Options(dtype=dtype), second=(inputs["x2"], inputs["y2"]))
    found = {key: outcomes[name].score for name, keys in PROXIES.items() for key in keys}
    still = proxies.evaluate(*args, ["gradsign"], proxies.Options(bn="inference", dtype=dtype))
    return {**found, "gradsign_sum_evalBN": still["gradsign"].score}


def layers(case, weights, inputs, dtype):
    """By proxy what each convolution and the classifier adds to the score."""
    passes = make_passes(case, weights, inputs, dtype)
    gradients, product = passes.kernel_gradients(), passes.weight_hessian_gradient()
    saliencies = passes.loss_gradients().fisher
    keys = case.weight_keys()
    flows = {"synflow": _without_batch_norm(case.graph, ()), "synflow_bn": case.graph}
    flows = {name: _flow(passes, graph) for name, graph in flows.items()}
    found = {
        "grad_norm": [np.linalg.norm(gradients[key].ravel()) for key in keys],
        "snip": [np.abs(weights[key] * gradients[key]).sum() for key in keys],
        "plain": [np.sum(weights[key] * gradients[key]) for key in keys],
        "grasp": [-product[key] for key in keys],
        "l2_norm": [np.linalg.norm(weights[key].ravel()) for key in keys],
        "fisher": [float(saliencies.get(key.rpartition(".")[0], 0.0)) for key in keys],
        **{name: [flow[key] for key in keys] if isinstance(flow, dict) else flow for name, flow in flows.items()},
    }
    return {f"{name}_per_layer": values for name, values in found.items()}


def jacobian(case, weights, inputs, dtype):
    passes = make_passes(case, weights, inputs, dtype)
    rows = passes.image_jacobian()
    codes = passes.forward().codes
    found = {"input_jacobian_nhwc": rows, "naswot_K": codes, "naswot_sign": np.linalg.slogdet(codes)[0]}
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.corrcoef(rows.astype(np.float64))
    defined = np.isfinite(correlations).all()
    found["jacob_cov_corr_eigs"] = np.linalg.eigvalsh(correlations) if defined else np.full(len(rows), np.nan)
    return found


def noise_scores(case, weights, inputs, dtype):
    passes = make_passes(case, weights, inputs, dtype, seed=1000)
    entropies, trainability = aznas.analyse(passes, inputs["x"])
    modules = meco._modules(passes, inputs["meco_x"])
    return {
        "zen_given_weights": zen.zen_score(passes, weights, inputs["zen_x1"], inputs["zen_x2"], {}),
        "aznas_expressivity": aznas._worst_if_nan(np.sum(entropies)),
        "aznas_progressivity": aznas._worst_if_nan(np.min(np.diff(entropies))),
        "aznas_trainability": np.mean(trainability),
        "meco_per_module": [modules[name] for name, *_ in case.expected["float64"]["meco_per_module"]],
        "meco": sum(modules.values()),
    }


def regions(case, weights, inputs, dtype):
    passes = make_passes(case, weights, inputs, dtype)
    found = {
        "swap": count_patterns(passes, weights, inputs["x"]),
        "swap_lr_x": count_patterns(passes, weights, inputs["lr_x"]),
    }
    network = Network(with_input_shape(case.graph, inputs["lr_x"].shape[1:]), weights, dtype=dtype)
    for mode, bn in golden.BN.items():
        codes = network.forward(inputs["lr_x"], bn, codes=True).codes
        found[f"linear_regions_{mode}"] = count_regions(codes)
        found["lr_n_units"] = codes.max()
        if mode == "train":
            found["naswot_lr_x_logdet"] = np.linalg.slogdet(codes)[1]
    return found


GROUPS = (outputs, scores, layers, jacobian, noise_scores, regions)


def golden_value(case, key):
    value = case.arrays.get(f"{key}_f64", case.expected["float64"].get(key))
    if key == "meco_per_module":
        value = [smallest for _, _, smallest in value]
    if key == "input_jacobian_nhwc":
        value = value.reshape(len(value), -1)
    # JSON has no infinities: the files hold them as text.
    value = np.array(np.nan if value is None else value, np.float64)
    return np.sort(value, axis=None) if key == "jacob_cov_corr_eigs" else value


@pytest.mark.parametrize(("name", "dtype", "group"), by_dtype(CASES, GROUPS))
def test_golden_values(name, dtype, group):
    case, inputs = golden.load(name), golden.inputs()
    received = group(case, case.weights, inputs, dtype)
    received = {key: value for key, value in received.items() if key not in undefined(case, dtype)}
    expected = {key: golden_value(case, key) for key in received}
    if dtype == "float64":
        allowed = {key: LESS_EXACT.get(key, EXACT) * float32.largest(value) for key, value in expected.items()}
    else:

        def compute(weights, images):
            return group(case, weights, {**inputs, **images}, "float64")

        allowed = float32.allowed(float32.spread(compute, case.weights, golden.images()), expected)
    float32.check(received, expected, allowed)


@pytest.mark.parametrize("name", CASES)
def test_golden_size(name):
    case = golden.load(name)
    expected = case.expected["float64"]
    assert case.graph.count_params() == expected["params"]
    assert case.graph.flops() == expected["macs_conv_linear_32x32"]
    assert sum(case.weights[key].size for key in case.weight_keys()) == expected["gradsign_n_weights"]


def kernel_keys():
    """(case, golden name) of all tangent kernels; those of BN on the batch, traced over logits, take a while."""
    return [
        pytest.param(name, key, marks=[pytest.mark.slow] * (key == "ntk_trace_all_train"))
        for name in CASES
        for key in filter(NTK.fullmatch, golden.load(name).arrays)
    ]


def tangent_kernel_of(case, weights, images, key, dtype):
    which, params, mode = NTK.fullmatch(key).groups()
    return tangent_kernel(
        Network(case.graph, weights, dtype=dtype),
        images,
        golden.BN[mode],
        kernel={"sumlogit": "sum_logits", "trace": "trace"}[which],
        params={"weight": "te_nas", "all": "all"}[params],
    )


@functools.cache
def kernel_spread(name, mode):
    """Spread of the cheapest kernel of a BN mode, as a share of its largest entry: the others see the same flips."""
    case, key = golden.load(name), f"ntk_sumlogit_weight_{mode}"
    compute = lambda weights, images: {key: tangent_kernel_of(case, weights, images, key, "float64")}  # noqa: E731
    spread = float32.spread(compute, case.weights, golden.inputs()["x"])[key]
    return spread / np.abs(case.arrays[f"{key}_f64"]).max()


@pytest.mark.parametrize(("name", "key"), kernel_keys())
class TestGoldenTangentKernels:
    def test_golden_tangent_kernels(self, name, key):
        case, labels = golden.load(name), golden.inputs()["y"]
        gram = tangent_kernel_of(case, case.weights, golden.inputs()["x"], key, "float64")
        expected = {"kernel": golden_value(case, key)}
        float32.check({"kernel": gram}, expected, {"kernel": EXACT * np.abs(expected["kernel"]).max() + 1e-12})
        if is_degenerate(case):  # guards, not values
            assert condition_number(gram) == np.inf
            return
        values = np.linalg.eigvalsh(gram)
        received = {
            "fnorm": np.linalg.norm(gram),
            "mean": gram.mean(),
            "eig_min": values[0],
            "eig_max": values[-1],
            "cond": condition_number(gram),
            "ncn": -condition_number(gram),
            "lga": label_gradient_alignment(gram, labels),
        }
        assert tuple(received) == NTK_METRICS
        expected = {metric: case.expected["float64"][f"{key}.{metric}"] for metric in NTK_METRICS}
        if key.startswith("ntk_sumlogit_weight"):
            received["tenas_cond"] = received["cond"]
            expected["tenas_cond"] = case.expected["float64"][f"tenas_cond_{key.rpartition('_')[2]}"]
        float32.check(received, expected, {metric: 1e-4 * abs(value) for metric, value in expected.items()})

    def test_golden_tangent_kernels_in_float32(self, name, key):
        case = golden.load(name)
        expected = golden_value(case, key)
        gram = tangent_kernel_of(case, case.weights, golden.inputs()["x"], key, "float32")
        spread = kernel_spread(name, key.rpartition("_")[2]) * np.abs(expected).max()
        float32.check({key: gram}, {key: expected}, float32.allowed({key: spread}, {key: expected}))


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("N1")])
def test_golden_full_kernel(name):
    """All pairs (example, logit): golden axes are (i, j, c, d). The golden kernel is float32."""
    case, x = golden.load(name), golden.inputs()["x"]
    count, classes = len(x), case.graph.num_classes
    gram = tangent_kernel(
        Network(case.graph, case.weights, dtype="float64"), x, "inference", kernel="full", params="all"
    )
    received = {"full": gram.reshape(count, classes, count, classes).transpose(0, 2, 1, 3)}
    expected = {"full": case.arrays["ntk_full_eval_f32"]}
    spread = kernel_spread(name, "eval") * np.abs(expected["full"]).max()
    float32.check(received, expected, float32.allowed({"full": spread}, expected))


def native_scores(case, weights, inputs, dtype):
    names = [name for name in case.expected["float64"] if name in PROXIES]
    options = proxies.Options(dtype=dtype, synflow_kept_bn=("reduction",))
    outcomes = proxies.evaluate(case.graph, weights, inputs["x"], inputs["y"], names, options)
    logits = golden.outputs(case.graph, weights, inputs["x"], dtype)["logits_train"]
    return {"logits_train": logits, **{name: outcome.score for name, outcome in outcomes.items()}}


@pytest.mark.parametrize(("name", "dtype", "group"), by_dtype(golden.native_names(), [native_scores]))
def test_golden_native_network(name, dtype, group):
    """zero-cost-nas' own network and measures, BN kept in the reductions for synflow."""
    case, inputs = golden.load_native(name), golden.inputs()
    received = group(case, case.weights, inputs, dtype)
    expected = {key: np.array(value) for key, value in case.expected["float64"].items()}
    if dtype == "float64":
        allowed = {key: EXACT * float32.largest(value) for key, value in expected.items()}
    else:
        compute = lambda weights, x: group(case, weights, {**inputs, "x": x}, "float64")  # noqa: E731
        allowed = float32.allowed(float32.spread(compute, case.weights, inputs["x"]), expected)
    float32.check(received, expected, allowed)


def test_golden_scores_of_a_keras_model():
    """The public call on a Keras model gives the golden values too."""
    case, inputs = golden.load(CASES[0]), golden.inputs()
    names = ["gradsign", "synflow", "grasp"]
    model = to_keras(case.graph, case.weights)
    received = proxies.score(model, inputs["x"], inputs["y"], names, dtype="float64")
    expected = {name: golden_value(case, PROXIES[name][0]) for name in names}
    float32.check(received, expected, {name: EXACT * abs(value) for name, value in expected.items()})
