"""How commands of the documentation are made small enough for a test. Whatever is not said here runs as it stands.

absl takes the last value of a flag that stands twice: a reduction is flags put behind those of the document.
"""

from __future__ import annotations

import importlib.util
import re

# Values of a flag -> what stands in, where a command has the flag.
_NUMBERS = {"100": "10", "500": "20", "2000": "30", "200": "15", "1000": "25"}
_FLAGS = {
    "num_archs": lambda value: str(min(int(value), 4)),
    "batch_size": lambda value: "8",
    "n_train": lambda value: ",".join(_NUMBERS.get(part, part) for part in value.split(",")),
    "n_val": lambda value: ",".join(_NUMBERS.get(part, part) for part in value.split(",")),
    "ensemble": lambda value: ",".join(dict.fromkeys(part if part in "12" else "2" for part in value.split(","))),
    "ntk_batch_size": lambda value: "2",
    "noise_repeats": lambda value: "1",
    "epochs": lambda value: "1",
    "after_epochs": lambda value: "0,1",
    "train_batch_size": lambda value: "32",
    "fear_batch_size": lambda value: "32",
    "repeats": lambda value: "1",
    "score_batch_size": lambda value: "8",
    "litert_repeats": lambda value: "2",
    # Processes and shards start and are tested in tests/tfnas/runs.
    "workers": lambda value: "1",
    # Prepared data are not at hand everywhere: noise of their shape stands in, digits are prepared where asked for.
    "dataset": lambda value: "synthetic" if value.startswith("cifar") else value,
    "data_dir": lambda value: "data",
    # Data sets of an experiment: one, of noise.
    "datasets": lambda value: "synthetic",
    "scale": lambda value: "small",
}
# Launcher -> flags put in front, for what a command does not say itself.
_DEFAULTS = {
    "launch.score": ("--width=8", "--depth=1", "--train_split=train[:256]"),
    "launch.nngp": ("--width=8", "--depth=1"),
    "launch.train": ("--width=4", "--depth=1", "--train_split=train[:256]", "--crop=0"),
    "launch.mnas": ("--width=8", "--batch_size=32", "--train_split=train[:256]", "--n_train=10", "--n_val=20"),
    "launch.correlate": ("--bootstrap=20",),
    "launch.predict": ("--splits=0", "--width=4"),
    "launch.prepare": (),
    "launch.reproduce": (),
}
_SOME = ("--proxies=gradsign,snip,synflow,jacob_cov",)
# (command, flags put behind the others).
_SPECIAL = (
    # Only `make demo`, which scores networks of the embedded table, has all proxies in these tests.
    (r"launch\.score(?!.*--archs=nasbench201_digits)(?=.*--proxies=all|(?!.*--proxies=))", _SOME),
    (r"launch\.score(?!.*--batch_size=)", ("--batch_size=8",)),
    (r"--archs=nasbench201_digits(?!.*--num_archs=)", ("--num_archs=4",)),
    (r"--archs=first100\.txt", ("--num_archs=4",)),
    (r"launch\.train", ("--num_archs=1",)),
    (r"launch\.predict .*--table=nasbench101", ("--n_train=6", "--top_k=2", "--threshold=0", "--predictors=gcn")),
    (r"--proxies=fear|--after_epochs", ("--num_archs=2", "--crop=0")),
    (r"--proxies=fear", ("--train_batch_size=32", "--epochs=4", "--fear_epochs=1")),
    (r"launch\.mnas(?!.*--space=)", ("--num_archs=1", "--latency_size=32")),
    (r"launch\.predict .*--scores=", ("--n_train=4,6", "--top_k=2", "--epochs=1")),
    (r"launch\.prepare .*--dataset=cifar10", ("--dataset=digits",)),
    (
        r"launch\.reproduce(?!.*--datasets=).*--scale=paper --table=nb201",
        ("--datasets=synthetic", "--targets=cifar10_test_200"),
    ),
    (r"launch\.correlate .*--scores=scores\.csv", ("--top_k=2",)),
    (r"launch\.reproduce .*--datasets=cifar10", ("--targets=cifar10_test_200",)),
    (r"launch\.reproduce(?!.*--(datasets|scores)=).*--table=nb101", ("--datasets=synthetic",)),
)

# What a run takes from elsewhere: these are parsed, with the reason.
PARSED = {
    r"--table=\S*\.tfrecord": "a published file of 2 GB",
    r"--strategy=tpu": "needs a TPU",
    r"--strategy=multiworker": "waits for another process; tests/tfnas/test_devices.py starts two",
    r"gs://": "needs a bucket",
}
if not importlib.util.find_spec("ai_edge_litert"):
    PARSED[r"--latency=(litert|operations\.csv)|--operations_out"] = "needs the extra litert"
# What takes records that are not there, or more networks than stand in: these are parsed and checked, with the reason.
CHECKED = {
    r"launch\.reproduce .*--scores=": "each figure is made of invented records in tests/launch/papers/test_run.py",
    r"--experiment=np_fig7": "learns from 43 networks and more, as tests/launch/papers/predictor/test_learned.py does",
    r"launch\.prepare .*--scores=output": "folders of records are kept in tests/launch/jobs/test_keeping.py",
}
# What scores networks of the published size: invented scores stand in, with the reason.
INVENTED = {
    r"launch\.reproduce (?!.*--scores=).*--table=": "minutes a network",
    r"launch\.reproduce (?!.*--scores=).*--experiment=nngp_fig7": "half a minute a network",
}
# Commands of other programs, of which nothing is run, with the reason.
ELSEWHERE = {
    "gcloud": "needs Google Cloud",
    "sudo apt-get": "changes the machine",
    "python3.11 -m venv": "make does the same in .ci/run",
    "source": "goes with the environment made before",
}


def reason(table: dict[str, str], command: str) -> str:
    """Why a table holds a command; "" where it does not."""
    return next((why for pattern, why in table.items() if re.search(pattern, command)), "")


def reduced(launcher: str, arguments: list[str]) -> list[str]:
    """Arguments of a launcher with those around them that make it small."""
    command = " ".join((launcher, *arguments))
    given = dict(argument[2:].split("=", 1) for argument in arguments if re.match(r"--\w+=", argument))
    changes = [f"--{name}={change(given[name])}" for name, change in _FLAGS.items() if name in given]
    for pattern, flags in _SPECIAL:
        changes += flags if re.search(pattern, command) else ()
    return [*_DEFAULTS[launcher], *arguments, *changes]
