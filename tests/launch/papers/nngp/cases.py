"""Invented networks, scores and accuracies on which the right answers are known."""

import pandas as pd

import spaces
from launch.flags.architectures import sample_architectures
from launch.papers.facts import facts
from launch.papers.nngp.metrics import Context, InferenceKey, Pool
from tfnas.runs import records

SPACE = spaces.get("nasbench101")
N = 60
ARCHS = sample_architectures(SPACE, N, seed=5)
NETWORK = {"width": 128, "depth": 3, "flavour": "nasbench"}
F = 2.51e9


def known_answer(name):
    """Marks a test that holds a figure to an answer known beforehand."""
    assert f"nngp_{name}" in facts()
    return lambda test: test


def key(n_train=100, n_val=500, ensemble=1, kernel="nngp", momentum=0.997):
    return InferenceKey(kernel, n_train, n_val, ensemble, momentum)


def context_for(name="nngp_fig1", **changes):
    return Context(**({"space": SPACE, "flops": F, "expected": facts()[name]["expected"], "resamples": 40} | changes))


def make(figure, scores, table, context):
    """(rows, what else was made) of a figure."""
    made = figure(Pool(scores, table, context))
    return made.rows, made


def scores_of(**columns):
    """Scores by letters of what they were computed with: a is (100, 500, 1), b (100, 500, 2), c (8000, 10000, 32)."""
    names = {"a": key(), "b": key(ensemble=2), "c": key(8000, 10000, 32), "z": key(momentum=0.0)}
    frame = pd.DataFrame(columns, index=pd.Index(ARCHS, name="arch"), dtype=float)
    frame.columns = pd.MultiIndex.from_tuples([names[column] for column in frame], names=InferenceKey._fields)
    return frame


def table_of(rng):
    """Truths 80, 80.25, ... in no order, short trainings that come closer to them the longer they are, sizes."""
    truth = 80 + rng.permutation(N) / 4
    runs = {f"val_{epochs}_0": truth + rng.normal(size=N) * 20 / epochs for epochs in (4, 12, 36, 108)}
    params = rng.permutation(N) * 4e5 + 1e6
    return pd.DataFrame({"truth": truth, **runs, "params": params, "flops": params * 100}, index=ARCHS)


def one(rows, measure, metric=None, **columns):
    """The only row of a measure, metric and whatever else is asked for."""
    for column, value in {"measure": measure, "metric": metric, **columns}.items():
        rows = rows if value is None else rows[rows[column] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def write_records(folder, table, columns, *, drop=(), settings=None, **changes):
    """Records as launch.nngp writes them; `columns` gives fractions by what they were computed with."""
    options = {"classes": 10, "input_shape": (32, 32, 3), "regularizers": [0.1] * 20} | (settings or {})
    common = {"space": "nasbench101", "dataset": "cifar10", "init": "tensorflow", **NETWORK} | changes
    written = []
    for place, arch in enumerate(table.index):
        for of, values in columns.items():
            proxy = f"{of.kernel}_{of.n_train}_{of.n_val}_{of.ensemble}"
            mine = records.dump_options(options | {"bn_momentum": of.bn_momentum})
            written.append(records.Record(arch=arch, proxy=proxy, score=float(values[place]), options=mine, **common))
        for name in set(("params", "flops")) - set(drop):
            sized = {key: options[key] for key in ("classes", "input_shape")}
            value = float(table[name].iloc[place])
            written.append(
                records.Record(arch=arch, proxy=name, score=value, options=records.dump_options(sized), **common)
            )
    with records.Writer(folder, "0of1", every=10**6) as writer:
        writer.add(written)
    return folder


def whole_table(folder, table):
    """A table in the form of nasbench_full.tfrecord's, as a file."""
    from tfnas import tables

    frame = table.rename(columns={"truth": "val_108"}).drop(columns="flops")
    accuracies = [column for column in frame if column.startswith("val_")]
    frame[accuracies] /= 100
    frame["test_108"] = frame["val_108"] - 0.01
    frame["hash"] = [SPACE.canonical(SPACE.parse(arch)) for arch in frame.index]
    path = folder / "full.parquet"
    tables.write(tables.Table(frame.rename_axis("arch").reset_index(), {}, "invented", "nasbench101"), path)
    return path


def all_records(folder, table, rng):
    """Records that every figure finds its scores in."""
    keys = [key(ensemble=1), key(ensemble=4), key(8000, 500, 1), key(momentum=0.0)]
    keys += [key(100, 1000, e, kernel) for kernel in ("nngp", "ntk") for e in (1, 4)]
    columns = {of: table["truth"].to_numpy() / 200 + rng.normal(size=N) / 40 for of in keys}
    return write_records(folder, table, columns)
