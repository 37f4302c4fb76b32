"""Latencies by layer against plain sums, and drawing within a window."""

import json

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces.mobile.proxylessnas import latency, strings
from spaces.mobile.proxylessnas.space import ProxylessNAS
from tfnas.errors import InputError

SPACE = spaces.get("proxylessnas")
WIDTHS, STRIDES = (24, 40, 80, 96, 192, 320), (2, 2, 2, 1, 2, 1)


def _made():
    """A table with a time of its own for every layer."""
    rng = np.random.default_rng(0)
    keys = [
        "Conv-input:224x224x3-output:112x112x32",
        "Conv_1-input:7x7x320-output:7x7x1280",
        "Logits-input:7x7x1280-output:1000",
        *(f"expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:{k}-stride:1-idskip:0" for k in (3, 5, 7)),
    ]
    side, inputs = 112, 16
    for outputs, strides in zip(WIDTHS, STRIDES, strict=True):
        for s, c, skip in ((strides, inputs, 0), (1, outputs, 1)):
            h = side if not skip else side // strides
            keys += [
                f"expanded_conv-input:{h}x{h}x{c}-output:{h // s}x{h // s}x{outputs}-expand:{e}-kernel:{k}-stride:{s}"
                f"-idskip:{skip}"
                for e in (3, 6)
                for k in (3, 5, 7)
            ]
        side, inputs = side // strides, outputs
    return {key: float(time) for key, time in zip(keys, rng.uniform(1, 9, len(keys)), strict=True)}


def plain(times, arch):
    """Layer after layer, each looked up by its name."""
    total = sum(time for key, time in times.items() if not key.startswith("expanded"))
    total += times[f"expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:{arch.first}-stride:1-idskip:0"]
    side, inputs = 112, 16
    for block, outputs, strides in zip(arch.blocks(), WIDTHS, STRIDES, strict=True):
        for place, op in enumerate(block):
            s = 1 if place else strides
            if op != "skip":
                total += times[
                    f"expanded_conv-input:{side}x{side}x{inputs}-output:{side // s}x{side // s}x{outputs}"
                    f"-expand:{op[3]}-kernel:{op[1]}-stride:{s}-idskip:{int(place > 0)}"
                ]
            side, inputs = side // s, outputs
    return total


def _archs(count=30):
    space = ProxylessNAS(first_kernels=(3, 5, 7))
    return [space.sample(np.random.default_rng(seed)) for seed in range(count)]


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame({"op": list(_made()), "mean_ms": list(_made().values()), "resolution": 224})
    other = frame.iloc[:2].assign(resolution=160, mean_ms=1000.0)
    path = tmp_path / "table.csv"
    pd.concat([other, frame]).to_csv(path, index=False)
    return path


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"bias_ms": 90.0, "kernel_ms": np.random.default_rng(0).normal(size=144).tolist()}))
    return path


class TestTable:
    def test_is_the_sum_over_the_layers(self, table):
        found = latency.read(table)
        assert found.flavour == "search"
        archs = _archs()
        np.testing.assert_allclose(found.of(archs), [plain(_made(), arch) for arch in archs], rtol=1e-12)

    def test_columns_of_other_latency_tables_do(self, table, tmp_path):
        frame = pd.read_csv(table)
        frame = frame[frame.resolution == 224].rename(columns={"op": "operation", "mean_ms": "ms"})
        frame.to_parquet(tmp_path / "t.parquet")
        archs = _archs(3)
        assert latency.read(tmp_path / "t.parquet").of(archs).tolist() == latency.read(table).of(archs).tolist()

    def test_what_other_rows_have_does_not_matter(self, table, tmp_path):
        frame = pd.read_csv(table).astype({"mean_ms": object})
        frame.loc[len(frame)] = ["network", "unknown", 224]
        frame.to_csv(tmp_path / "more.csv", index=False)
        archs = _archs(3)
        assert latency.read(tmp_path / "more.csv").of(archs).tolist() == latency.read(table).of(archs).tolist()

    @pytest.mark.parametrize("value", [None, -1.0, np.nan, np.inf, "slow", "<NA>"])
    def test_a_layer_that_it_does_not_tell(self, table, tmp_path, value):
        frame = pd.read_csv(table).astype({"mean_ms": object})
        chosen = frame.op.str.contains("28x28x40-output:14x14x80-expand:6-kernel:5")
        frame = frame[~chosen] if value is None else frame.assign(mean_ms=frame.mean_ms.mask(chosen, value))
        frame.to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(InputError, match="28x28x40-output:14x14x80-expand:6-kernel:5"):
            latency.read(tmp_path / "bad.csv")

    def test_a_layer_with_several_values_is_refused(self, table, tmp_path):
        """Equal ones are one value, and rows of other layers do not matter."""
        frame = pd.read_csv(table)
        row = frame[frame.op.str.contains("28x28x40-output:14x14x80-expand:6-kernel:5")]
        other = row.assign(op="another layer")
        harmless = pd.concat([frame, row, other, other.assign(mean_ms=7.0)])
        harmless.to_csv(tmp_path / "same.csv", index=False)
        archs = _archs(3)
        assert latency.read(tmp_path / "same.csv").of(archs).tolist() == latency.read(table).of(archs).tolist()
        pd.concat([harmless, row.assign(mean_ms=500.0)]).to_csv(tmp_path / "two.csv", index=False)
        with pytest.raises(InputError, match=r"two.csv has several values of mean_ms for expanded_conv.*500\. Allowed"):
            latency.read(tmp_path / "two.csv")

    def test_files_of_another_kind(self, tmp_path):
        pd.DataFrame({"a": [1]}).to_csv(tmp_path / "a.csv", index=False)
        for name in ("a.csv", "none.csv"):
            with pytest.raises(InputError, match=name):
                latency.read(tmp_path / name)


class TestModel:
    def test_is_linear_in_the_choices(self, model):
        content = json.loads(model.read_text())
        found = latency.read(model)
        assert found.flavour == "mobile"
        for arch in _archs():
            ones, offset = [strings.KERNELS.index(arch.first)], 3
            for layer, op in enumerate(arch.ops):
                ones.append(offset + strings.OPS.index(op))
                offset += len(strings.CHOICES[layer])
            assert offset == 144
            expected = content["bias_ms"] + sum(content["kernel_ms"][index] for index in ones)
            assert found.of([arch])[0] == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"bias_ms": 1}', '{"bias_ms": 1, "kernel_ms": [1, 2]}', '{"bias_ms": "x"}']
    )
    def test_files_of_another_kind(self, tmp_path, text):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(InputError, match=r"bad\.json") as error:
            latency.read(path)
        assert "\n" not in str(error.value)


class TestWindow:
    def test_all_lie_within_and_differ(self, model):
        times = latency.read(model)
        middle = float(np.median(times.of(_archs(200))))
        archs, found = times.sample(SPACE, np.random.default_rng(0), 500, middle - 1, middle + 1)
        assert len(set(archs)) == 500
        assert found.tolist() == times.of(archs).tolist()
        assert middle - 1 <= found.min() <= found.max() <= middle + 1
        fewer, _ = times.sample(SPACE, np.random.default_rng(0), 20, middle - 1, middle + 1)
        assert fewer == archs[:20]

    def test_as_if_each_was_drawn_alone(self, model):
        """Uniform within the window: the shares of a layer's operations are those of plain rejection."""
        times = latency.read(model)
        codes = SPACE.sample_codes(np.random.default_rng(5), 60_000)
        latencies = times.of(codes)
        low, high = np.quantile(latencies, [0.2, 0.3])
        plain_codes = codes[(low <= latencies) & (latencies <= high)]
        archs, _ = times.sample(SPACE, np.random.default_rng(1), len(plain_codes), low, high)
        drawn = strings.to_codes(archs)
        for layer in range(1, 22):
            shares = [np.bincount(rows[:, layer], minlength=7) / len(rows) for rows in (drawn, plain_codes)]
            np.testing.assert_allclose(*shares, atol=5 * np.sqrt(0.5 / len(plain_codes)))

    def test_windows_that_nothing_lies_in(self, model, monkeypatch):
        times = latency.read(model)
        with pytest.raises(InputError, match=r"from a lower to a higher one\. Received: 85, 75"):
            times.sample(SPACE, np.random.default_rng(0), 1, 85, 75)
        monkeypatch.setattr(latency, "_AT_ONCE", 1000)
        with pytest.raises(InputError, match=r"Architectures of 1 to 2 ms\. Received: 0 in 50000 draws"):
            times.sample(SPACE, np.random.default_rng(0), 1, 1, 2)
