"""Every number of golden/proxies, computed here in float64 and in float32.

The cases, the proxies and the arrays are those found in the files: a value that no test covers fails
`test_golden_values_are_all_covered`.
"""

import re

import numpy as np
import pytest

import proxies
from proxies import aznas, meco, zen
from proxies.activations import count_patterns, count_regions
from proxies.ntk import condition_number, label_gradient_alignment
from proxies.passes import Passes
from proxies.pruning import _flow, _without_batch_norm
from tests import golden
from tfnas.engine import Network, tangent_kernel
from tfnas.networks.keras_model import to_keras

pytestmark = pytest.mark.usefixtures("shared")

# Relative tolerances of golden/proxies/README.md.
PROXIES = {
    "grad_norm": 1e-3,
    "snip": 1e-3,
    "grasp": 1e-3,
    "fisher": 1e-3,
    "plain": 5e-3,
    "synflow": 1e-3,
    "synflow_bn": 1e-3,
    "jacob_cov": 1e-3,
    "l2_norm": 1e-5,
    "epe_nas": 2e-2,
    "naswot": 1e-3,
    "gradsign": 2e-3,
    "gradsign_mean": 2e-3,
    "zico": 2e-2,
}
# Name of a golden value -> name of the proxy.
NAMES = {
    "jacob_cov_eigvalsh": "jacob_cov",
    "naswot_hook_logdet": "naswot",
    "gradsign_sum": "gradsign",
    "zico_aznas_variant": "zico",
    "gradsign_mean_usedonly": "gradsign_mean",
}
PER_LAYER = {"grad_norm", "snip", "grasp", "fisher", "plain", "synflow", "synflow_bn", "l2_norm"}
NTK = re.compile(r"ntk_(sumlogit|trace)_(weight|all)_(train|eval)\.(fnorm|mean|eig_min|eig_max|cond|ncn|lga)")
OTHER = {
    "loss_train",
    "loss_eval",
    "jacob_cov_corr_eigs",
    "naswot_sign",
    "gradsign_sum_evalBN",
    "gradsign_n_weights",
    "tenas_cond_train",
    "tenas_cond_eval",
    "zen_given_weights",
    "aznas_expressivity",
    "aznas_progressivity",
    "aznas_trainability",
    "meco",
    "meco_per_module",
    "swap",
    "swap_lr_x",
    "linear_regions_train",
    "linear_regions_eval",
    "lr_n_units",
    "naswot_lr_x_logdet",
    "params",
    "macs_conv_linear_32x32",
}
BN = {"train": "batch", "eval": "inference"}
CASES = golden.case_names()
DTYPES = ("float64", "float32")


def is_degenerate(case: golden.Case) -> bool:
    """Whether nothing of the image reaches the logits, so that kernels are singular and correlations undefined."""
    return np.ptp(case.arrays["logits_eval_f64"], axis=0).max() < 1e-9


def is_wobbly(case: golden.Case) -> bool:
    """Whether the reference itself moves by more than 1e-4 between float32 and float64: a ReLU flips."""
    f32, f64 = case.arrays["input_jacobian_nhwc"], case.arrays["input_jacobian_nhwc_f64"]
    return np.linalg.norm(f32 - f64) > 1e-4 * np.linalg.norm(f64)


def passes(case: golden.Case, dtype: str, *, images: str = "x", labels: str = "y", **options) -> Passes:
    data = golden.inputs()
    made = Passes(
        case.graph,
        case.weights,
        data[images],
        data[labels] if images == "x" else np.zeros(len(data[images]), int),
        proxies.Options(dtype=dtype, **options),
        frozenset({"codes", "fisher", "hessian"}),
    )
    made.bn = "batch"
    return made


def number(value: float | str) -> float:
    """JSON has no infinities: the files hold them as text."""
    return float(value)


def close(actual, expected, rel, abs_=0.0):
    np.testing.assert_allclose(actual, expected, rtol=rel, atol=abs_)


def test_golden_values_are_all_covered():
    known = set(PROXIES) | set(NAMES) | {f"{name}_per_layer" for name in PER_LAYER} | OTHER
    for name in CASES:
        expected = golden.load(name).expected
        for key in [*expected["float64"], *expected["float32"]]:
            assert key in known or NTK.fullmatch(key), f"{name}: no test covers {key}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
class TestGoldenCases:
    def test_golden_outputs(self, name, dtype):
        case, data = golden.load(name), golden.inputs()
        network = Network(case.graph, case.weights, dtype=dtype)
        for key, bn in BN.items():
            run = network.forward(data["x"], bn)
            for what, node in (("logits", case.graph.output), ("features", case.graph.features)):
                expected = case.arrays[f"{what}_{key}_f64"]
                close(run.values[node], expected, 0, 1e-5 * np.abs(expected).max())
            logits = run.values[case.graph.output].numpy().astype(np.float64)
            log_probability = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            loss = -log_probability[np.arange(len(logits)), data["y"]].mean()
            close(loss, case.expected["float64"][f"loss_{key}"], 1e-5)

    def test_golden_proxies(self, name, dtype):
        case, data = golden.load(name), golden.inputs()
        outcomes = proxies.evaluate(
            case.graph,
            case.weights,
            data["x"],
            data["y"],
            PROXIES,
            proxies.Options(dtype=dtype),
            second=(data["x2"], data["y2"]),
        )
        for proxy, tolerance in PROXIES.items():
            for key in [proxy, *(key for key, value in NAMES.items() if value == proxy)]:
                if key not in case.expected["float64"]:
                    continue
                expected = number(case.expected["float64"][key])
                if proxy == "zico" and is_degenerate(case) and dtype == "float32":
                    continue  # deviations that should be zero are round-off
                if not np.isfinite(expected):
                    assert not np.isfinite(outcomes[proxy].score)
                    continue
                close(outcomes[proxy].score, expected, tolerance, 1e-9)

    def test_golden_layers(self, name, dtype):
        case = golden.load(name)
        shared = passes(case, dtype)
        gradients, keys = shared.kernel_gradients(), case.weight_keys()
        product = shared.weight_hessian_gradient()
        saliencies = shared.loss_gradients().fisher
        layers = {
            "grad_norm": [np.linalg.norm(gradients[key].ravel()) for key in keys],
            "snip": [np.abs(case.weights[key] * gradients[key]).sum() for key in keys],
            "plain": [np.sum(case.weights[key] * gradients[key]) for key in keys],
            "grasp": [-product[key] for key in keys],
            "l2_norm": [np.linalg.norm(case.weights[key].ravel()) for key in keys],
            "fisher": [float(saliencies.get(key.rpartition(".")[0], 0.0)) for key in keys],
            "synflow": _flow(shared, _without_batch_norm(case.graph, ())),
            "synflow_bn": _flow(shared, case.graph),
        }
        assert set(layers) == PER_LAYER
        loose = dtype == "float32" and is_wobbly(case)
        for proxy, values in layers.items():
            values = [values[key] for key in keys] if isinstance(values, dict) else values
            expected = np.array(case.expected["float64"][f"{proxy}_per_layer"])
            # Layers whose terms cancel are held to the scale of the largest one.
            scale = np.abs(expected).max()
            close(values, expected, 0, (2e-2 if loose else PROXIES[proxy]) * scale + 1e-6 * (proxy == "plain"))

    def test_golden_gradsign_with_moving_statistics(self, name, dtype):
        case = golden.load(name)
        f32, f64 = (case.expected[key]["gradsign_sum_evalBN"] for key in ("float32", "float64"))
        if dtype == "float32" and abs(f32 / f64 - 1) > 1e-2:
            pytest.skip("the reference's float32 and float64 differ: zero gradients take random signs")
        score = proxies.evaluate(
            case.graph,
            case.weights,
            golden.inputs()["x"],
            golden.inputs()["y"],
            ["gradsign"],
            proxies.Options(bn="inference", dtype=dtype),
        )["gradsign"].score
        close(score, f64, 2e-3)
        assert case.expected["float64"]["gradsign_n_weights"] == sum(
            case.weights[key].size for key in case.weight_keys()
        )

    def test_golden_jacobian(self, name, dtype):
        case = golden.load(name)
        jacobian = passes(case, dtype).image_jacobian()
        expected = case.arrays["input_jacobian_nhwc_f64"].reshape(len(jacobian), -1)
        tolerance = 1e-5 if dtype == "float64" else 2e-2 if is_wobbly(case) else 1e-3
        assert np.linalg.norm(jacobian - expected) <= tolerance * np.linalg.norm(expected) + 1e-12
        if is_degenerate(case):
            return
        spectrum = case.expected["float64"]["jacob_cov_corr_eigs"]
        values = np.linalg.eigvalsh(np.corrcoef(jacobian.astype(np.float64)))
        close(values, np.sort(spectrum), 1e-2 if tolerance > 1e-5 else 1e-4)

    def test_golden_codes(self, name, dtype):
        case = golden.load(name)
        codes = passes(case, dtype).forward().codes
        assert np.abs(codes - case.arrays["naswot_K_f64"]).max() <= (0 if dtype == "float64" else 4)
        sign = np.linalg.slogdet(codes)[0]
        assert sign == case.expected["float64"]["naswot_sign"]

    def test_golden_zen(self, name, dtype):
        case, data = golden.load(name), golden.inputs()
        shared = passes(case, dtype)
        score = zen.zen_score(shared, case.weights, data["zen_x1"], data["zen_x2"], {})
        expected = number(case.expected["float64"]["zen_given_weights"])
        if np.isfinite(expected):
            close(score, expected, 1e-4 if dtype == "float64" else 2e-3)
        else:
            assert score == expected

    def test_golden_aznas(self, name, dtype):
        case, data = golden.load(name), golden.inputs()
        shared = passes(case, dtype, seed=1000)
        entropies, scores = aznas.analyse(shared, data["x"])
        actual = {
            "aznas_expressivity": aznas._worst_if_nan(np.sum(entropies)),
            "aznas_progressivity": aznas._worst_if_nan(np.min(np.diff(entropies))),
            "aznas_trainability": np.mean(scores),
        }
        for key, value in actual.items():
            expected = number(case.expected["float64"][key])
            if np.isinf(expected):
                assert value == expected
            else:
                close(value, expected, 1e-3, 1e-4)

    def test_golden_meco(self, name, dtype):
        case = golden.load(name)
        values = meco._modules(passes(case, dtype), golden.inputs()["meco_x"])
        expected = {module: value for module, _, value in case.expected["float64"]["meco_per_module"]}
        assert set(values) == set(expected)
        close([values[module] for module in expected], list(expected.values()), 2e-3, 2e-4)
        close(sum(values.values()), case.expected["float64"]["meco"], 1e-3, 1e-3)

    def test_golden_patterns_and_regions(self, name, dtype):
        case, data = golden.load(name), golden.inputs()
        expected = case.expected["float64"]
        few = passes(case, dtype)
        assert count_patterns(few, case.weights, data["x"]) == expected["swap"]
        flips = 0 if dtype == "float64" else 4
        assert abs(count_patterns(few, case.weights, data["lr_x"]) - expected["swap_lr_x"]) <= flips
        from tfnas.networks.builder import with_input_shape

        network = Network(with_input_shape(case.graph, data["lr_x"].shape[1:]), case.weights, dtype=dtype)
        for key, bn in BN.items():
            codes = network.forward(data["lr_x"], bn, codes=True).codes
            assert count_regions(codes) == expected[f"linear_regions_{key}"]
            assert codes.max() == expected["lr_n_units"]
            if bn == "batch":
                log_determinant = np.linalg.slogdet(codes)[1]
                log_expected = number(expected["naswot_lr_x_logdet"])
                if np.isfinite(log_expected):
                    close(log_determinant, log_expected, 1e-3)
                else:
                    assert log_determinant == log_expected

    def test_golden_size(self, name, dtype):
        case = golden.load(name)
        assert case.graph.count_params() == case.expected["float64"]["params"]
        assert case.graph.flops() == case.expected["float64"]["macs_conv_linear_32x32"]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
class TestGoldenTangentKernels:
    def test_golden_tangent_kernels(self, name, dtype):
        case = golden.load(name)
        data = golden.inputs()
        network = Network(case.graph, case.weights, dtype=dtype)
        for key in (key for key in case.arrays if re.fullmatch(r"ntk_(sumlogit|trace)_(weight|all)_(train|eval)", key)):
            _, kernel, params, mode = key.split("_")
            reference = case.arrays.get(f"{key}_f64", case.arrays[key])
            gram = tangent_kernel(
                network,
                data["x"],
                BN[mode],
                kernel={"sumlogit": "sum_logits", "trace": "trace"}[kernel],
                params={"weight": "te_nas", "all": "all"}[params],
            )
            tolerance = 1e-9 if dtype == "float64" else 1e-3 if mode == "train" else 1e-5
            close(gram, reference, 0, tolerance * np.abs(reference).max() + 1e-12)
            self.check_metrics(case, key, gram, dtype)

    def check_metrics(self, case, key, gram, dtype):
        labels = golden.inputs()["y"]
        values = np.linalg.eigvalsh(gram)
        actual = {
            "fnorm": np.linalg.norm(gram),
            "mean": gram.mean(),
            "eig_min": values[0],
            "eig_max": values[-1],
            "cond": condition_number(gram),
            "ncn": -condition_number(gram),
            "lga": label_gradient_alignment(gram, labels),
        }
        expected = case.expected["float64"]
        if is_degenerate(case):  # guards, not values
            assert actual["cond"] == np.inf
            return
        tolerance = 5e-3 if dtype == "float32" else 1e-4
        for metric, value in actual.items():
            close(value, expected[f"{key}.{metric}"], tolerance)
        mode = key.rpartition("_")[2]
        if key.startswith("ntk_sumlogit_weight"):
            close(actual["cond"], expected[f"tenas_cond_{mode}"], tolerance)


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("N1")])
def test_golden_full_kernel(name):
    """All pairs (example, logit): golden axes are (i, j, c, d)."""
    case = golden.load(name)
    network = Network(case.graph, case.weights, dtype="float64")
    count, classes = len(golden.inputs()["y"]), case.graph.num_classes
    gram = tangent_kernel(network, golden.inputs()["x"], "inference", kernel="full", params="all")
    gram = gram.reshape(count, classes, count, classes).transpose(0, 2, 1, 3)
    expected = case.arrays["ntk_full_eval_f32"]
    close(gram, expected, 0, 2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", golden.native_names())
def test_golden_native_network(name, dtype):
    """zero-cost-nas' own network and measures, BN kept in the reductions for synflow."""
    case, data = golden.load_native(name), golden.inputs()
    expected = dict(case.expected["float64"])
    logits = Network(case.graph, case.weights, dtype=dtype).forward(data["x"], "batch").values[case.graph.output]
    close(logits, expected.pop("logits_train"), 0, 1e-5 * np.abs(case.expected["float64"]["logits_train"]).max())
    options = proxies.Options(dtype=dtype, synflow_kept_bn=("reduction",))
    outcomes = proxies.evaluate(case.graph, case.weights, data["x"], data["y"], list(expected), options)
    for proxy, value in expected.items():
        close(outcomes[proxy].score, value, PROXIES[proxy])


def test_golden_scores_of_a_keras_model():
    """The public call on a Keras model gives the golden values too."""
    name = CASES[0]
    case, data = golden.load(name), golden.inputs()
    scores = proxies.score(to_keras(case.graph, case.weights), data["x"], data["y"], ["gradsign", "synflow", "grasp"])
    for proxy, key in (("gradsign", "gradsign_sum"), ("synflow", "synflow"), ("grasp", "grasp")):
        close(scores[proxy], case.expected["float64"][key], PROXIES[proxy])
