"""What the tests of all launchers need to know of each: its name, command lines that are wrong, one that is right."""

import ast
import dataclasses
import importlib
import typing

import pandas as pd

from tests.conftest import ROOT


def _has_main(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)


# A module of `launch` that defines `main` is a launcher; it need not import for that.
LAUNCHERS = sorted(path.stem for path in (ROOT / "launch").glob("*.py") if _has_main(path))


def module(name):
    """A launcher."""
    return importlib.import_module(f"launch.{name}")


def kinds(config_type):
    """(field, type without None, whether None is allowed)."""
    hints = typing.get_type_hints(config_type)
    for field in dataclasses.fields(config_type):
        arguments = typing.get_args(hints[field.name])
        optional = type(None) in arguments
        yield field, arguments[0] if optional else hints[field.name], optional


# For each launcher a command line that does something small. FILES stands for a folder with archs.txt, a cell of
# NAS-Bench-201, and table.csv, which knows its accuracy; OUT for a fresh folder.
SMALL = "--archs=FILES/archs.txt --output=OUT --dataset=synthetic --width=2 --depth=1"
WORKS = {
    "score": f"{SMALL} --batch_size=4 --proxies=snip,synflow",
    "nngp": f"{SMALL} --train_split=train --val_split=test --n_train=10 --n_val=10,20 --bn_batch=10",
    "train": f"{SMALL} --epochs=1 --batch_size=32 --train_split=train[:64] --crop=0",
    "mnas": f"{SMALL} --space=nasbench201 --accuracy=table --table=FILES/table.csv --target=1e5",
    "correlate": "--scores=FILES/scores.csv --table=FILES/table.csv --output=OUT --bootstrap=0",
    "prepare": "--table=FILES/table.csv --out=OUT/table.parquet --provenance=test",
    "predict": "--table=nasbench201_digits --output=OUT --n_train=12 --top_k=2 --repeats=1 --epochs=1 --width=4",
    "reproduce": "--list",
}
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


def small_job(name, out, files):
    """The command line of WORKS, with the files that it reads."""
    files.mkdir(exist_ok=True)
    (files / "archs.txt").write_text(CELL)
    pd.DataFrame({"arch": [CELL], "accuracy": [50.0]}).to_csv(files / "table.csv", index=False)
    pd.DataFrame({"arch": [CELL], "mine": [1.0]}).to_csv(files / "scores.csv", index=False)
    return WORKS[name].replace("OUT", str(out)).replace("FILES", str(files)).split()


# For each launcher, command lines that must end in one line and exit code 2, and what that line must tell. OUT stands
# for a fresh folder.
BAD_INPUT = {
    "score": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=0": "between 1 and 15625",
        "--output=OUT --num_archs=15626": "between 1 and 15625",
        "--output=OUT --num_archs=2 --all": "Which architectures?",
        "--output=OUT --num_archs=2 --proxies=gradsing": "'gradsing'",
        "--output=OUT --num_archs=2 --proxies=": "--proxies is empty",
        "--output=OUT --num_archs=2 --proxies=predictor:OUT/none.keras": "No such predictor",
        "--output=OUT --num_archs=2 --proxies=predictor:": "a name that ends in .keras",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --dataset=cifar11": "'cifar11'",
        "--output=OUT --num_archs=2 --dataset=cifar10 --data_dir=OUT/missing": "launch.prepare --dataset=cifar10",
        "--output=OUT --num_archs=2 --dataset=synthetic --batch_size=100000": "100000",
        "--output=OUT --num_archs=2 --dataset=synthetic --batch_size=0": "--batch_size must be at least 1",
        "--output=OUT --num_archs=2 --dataset=synthetic --split=tset": "'tset'",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --bn=train": "'train'",
        "--output=OUT --num_archs=2 --flavour=grande": "'grande'",
        "--output=OUT --num_archs=2 --width=-1": "width=-1",
        "--output=OUT --num_archs=2 --ntk_logits=ntk": "sum_logits|trace",
        "--output=OUT --num_archs=2 --kernel=trace": "--ntk_logits",
        "--output=OUT --num_archs=2 --params=all": "--ntk_params",
        "--output=OUT --num_archs=2 --workers=-1": "--workers must be at least 0",
        "--output=OUT --num_archs=2 --threads=-1": "--threads must be at least 0",
        "--output=OUT --num_archs=2 --proxies=nngp --n_train=0": "--n_train takes whole numbers",
        "--output=OUT --num_archs=2 --proxies=nngp,snip --repeats=2": "give --ensemble, or another --seed",
        "--output=OUT --num_archs=2 --proxies=nngp --n_val=9999": "Received: 9999",
        "--output=OUT --num_archs=2 --repeats=0": "--repeats must be at least 1",
        "--output=OUT --num_archs=2 --repeats=9223372036854775807": "--repeats must be at most 1000000",
        "--output=OUT --num_archs=2 --shard=2/2": "'2/2'",
        "--output=OUT --num_archs=2 --shard=half": "'half'",
        "--output=OUT --num_archs=two": "two",
        "--output=OUT --archs=OUT/missing.txt": "missing.txt",
        "--output=OUT --archs=OUT/missing.parquet": "missing.parquet",
        "--output=/dev/null/scores --num_archs=2 --dataset=synthetic": "/dev/null",
        "--output=OUT --num_archs=2 --after_epochs=": "--after_epochs takes whole numbers from 0 on",
        "--output=OUT --num_archs=2 --after_epochs=0,-1": "Received: '0,-1'",
        "--output=OUT --num_archs=2 --after_epochs=1,13": "Received: 13. Allowed: 0 to 12",
        "--output=OUT --num_archs=2 --proxies=shortreg": "Received: --proxies=shortreg with --after_epochs=0",
        "--output=OUT --num_archs=2 --recipe=nasbench102": "nasbench201|nasbench101|lga",
        "--output=OUT --num_archs=2 --epochs=0": "epochs=0. Allowed: 1 or more",
        "--output=OUT --num_archs=2 --dropout=0.2": "dropout layers, of which it has none. Received: dropout=0.2",
        "--output=OUT --num_archs=2 --after_epochs=1 --train_batch_size=2000": "Received: 1437 images, batch_size=2000",
        "--output=OUT --num_archs=2 --train_split=tset": "'tset'",
        "--output=OUT --num_archs=2 --proxies=fear --fear_threshold=60": "--fear_threshold is a fraction. Received: 60",
        "--output=OUT --num_archs=2 --proxies=fear --fear_cells=0": "--fear_cells must be at least 1",
        "--output=OUT --num_archs=2 --proxies=fear --fear_seconds=-1": "--fear_seconds must be at least 0",
        "--output=OUT --num_archs=2 --checkpoint_seconds=-1": "--checkpoint_seconds must be at least 0",
    },
    "nngp": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --n_train=": "--n_train takes whole numbers",
        "--output=OUT --num_archs=2 --n_val=10,x": "'10,x'",
        "--output=OUT --num_archs=2 --ensemble=0": "--ensemble takes whole numbers",
        "--output=OUT --num_archs=2 --regularizers=0.1,-1": "'0.1,-1'",
        "--output=OUT --num_archs=2 --regularizers=much": "'much'",
        "--output=OUT --num_archs=2 --bn_momentum=1.5": "bn_momentum",
        "--output=OUT --num_archs=2 --bn_batch=-1": "--bn_batch must be at least 0",
        "--output=OUT --num_archs=2 --batch_size=50": "--block_size",
        "--output=OUT --num_archs=2 --block_size=0": "--block_size must be at least 1",
        "--output=OUT --num_archs=2 --strategy=mirrored --workers=2": "--workers=1",
        "--output=OUT --num_archs=2 --kernel=rbf": "nngp|ntk",
        "--output=OUT --num_archs=2 --strategy=cloud": "cpu|mirrored|multiworker|tpu",
        "--output=OUT --num_archs=2 --dtype=float16": "float32|float64",
        "--output=OUT --num_archs=2 --dataset=synthetic --train_split=tset": "'tset'",
        "--output=OUT --num_archs=2 --dataset=synthetic --n_val=9999": "has 819 examples. Received: 9999",
        "--output=OUT --num_archs=2 --kernel=ntk --strategy=mirrored": "Received: --strategy=mirrored",
        "--output=OUT --num_archs=2 --n_train=1140 --n_val=10": "examples of class",
        "--output=OUT --num_archs=2 --labels=1": "--labels must be at least 2",
        "--output=OUT --num_archs=2 --labels=11": "digits has 10 labels. Received: 11",
        "--output=OUT --num_archs=2 --labels=2 --n_val=100": "examples of the 2 labels drawn. Received: 100",
        "--output=OUT --num_archs=2 --dataset=imagenet2012 --data_dir=OUT/missing": "ILSVRC2012_img_train.tar",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --shard=2/2": "'2/2'",
        "--output=OUT --archs=OUT/missing.txt": "missing.txt",
    },
    "correlate": {
        "": "--scores is required",
        "--scores=OUT/missing --table=OUT/missing.csv --output=OUT": "missing",
        "--scores=a --table=b --output=OUT --top_k=0": "--top_k",
        "--scores=atlas:none --table=nasbench201_digits --output=OUT": "atlas:none",
        "--scores=a --table=b --output=OUT --where=dataset": "--where",
        "--scores=a --table=b --output=OUT --cuts=deep": "'deep'",
        "--scores=a --table=b --output=OUT --against_target=old": "--against_target is for --against",
        "--scores=a --table=b --output=OUT --against_where=flavour=a": "--against_where is for --against",
        "--scores=a --table=b --output=OUT --against_names=naswot=nwot": "--against_names is for --against",
        "--scores=a --table=b --output=OUT --against=c --against_names=nwot": "--against_names takes column=value",
        "--scores=a --table=b --output=OUT --thresholds=high": "high",
    },
    "mnas": {
        "--target=1": "--output is required",
        "--output=OUT": "--target is required",
        "--output=OUT --target=1": "Which architectures?",
        "--output=OUT --target=0 --num_archs=2": "target must be above 0. Received: 0",
        "--output=OUT --target=-75 --num_archs=2": "Received: -75",
        "--output=OUT --target=fast --num_archs=2": "fast",
        "--output=OUT --target=1 --num_archs=2 --w=-0.07": "Received: -0.07",
        "--output=OUT --target=1 --num_archs=2 --top_k=0": "--top_k must be at least 1",
        "--output=OUT --target=1 --num_archs=2 --reward=soft": "mnas|mnas_hard|abs",
        "--output=OUT --target=1 --num_archs=2 --accuracy=guess": "train|table|proxy",
        "--output=OUT --target=1 --num_archs=2 --accuracy=proxy": "the first of --proxies. Received: none",
        "--output=OUT --target=1 --num_archs=2 --accuracy=proxy --proxies=all": "'all'",
        "--output=OUT --target=1 --num_archs=2 --accuracy=table": "--accuracy=table needs --table",
        "--output=OUT --target=1 --num_archs=2 --latency=column:pixel1": "--latency=column:pixel1 needs --table",
        "--output=OUT --target=1 --num_archs=2 --strategy=mirrored --workers=2": "--workers=1",
        "--output=OUT --target=1 --num_archs=2 --latency=": "--latency is empty",
        "--output=OUT --target=1 --num_archs=2 --latency=OUT/phone.csv": "phone.csv",
        "--output=OUT --target=1 --num_archs=2 --litert_repeats=1": "--litert_repeats must be at least 2",
        "--output=OUT --target=1 --num_archs=2 --latency_size=100000": "--latency_size must be at most",
        "--output=OUT --target=1 --num_archs=2 --proxies=gradsing": "'gradsing'",
        "--output=OUT --target=1 --num_archs=2 --proxies=shortreg": "--proxies=shortreg with --after_epochs=0",
        "--output=OUT --target=1 --num_archs=2 --accuracy=proxy --proxies=shortreg": "with --after_epochs=0",
        "--output=OUT --target=1 --num_archs=2 --after_epochs=13": "Received: 13. Allowed: 0 to 12",
        "--output=OUT --target=1 --num_archs=2 --score_recipe=nas": "--score_recipe: flag --recipe=nas: value",
        "--output=OUT --target=1 --num_archs=2 --score_recipe=lga,crops=0": "(--score_recipe). Received: 'crops'",
        "--output=OUT --target=1 --num_archs=2 --score_recipe=lga,crop": "--score_recipe takes setting=value",
        "--output=OUT --target=1 --num_archs=2 --score_recipe=lga,crop=much": "--score_recipe: flag --crop=much",
        "--output=OUT --target=1 --num_archs=2 --score_recipe=lga,ema=1": "ema=1.0. Allowed: in [0, 1)",
        "--output=OUT --target=1 --num_archs=2 --fear_threshold=60": "--fear_threshold is a fraction. Received: 60",
        "--output=OUT --target=1 --num_archs=2 --checkpoint_seconds=-1": "--checkpoint_seconds must be at least 0",
        "--output=OUT --target=1 --num_archs=2 --space=mnass": "'mnass'",
        "--output=OUT --target=1 --num_archs=2 --epochs=0": "epochs",
        "--output=OUT --target=1 --num_archs=2 --table=OUT/missing.parquet --accuracy=table": "missing.parquet",
        "--output=OUT --target=1 --archs=OUT/missing.txt": "missing.txt",
    },
    "prepare": {
        "": "--dataset=NAME",
        "--dataset=cifar11": "'cifar11'",
        "--dataset=digits --table=a.csv": "either",
        "--dataset=imagenet2012 --data_dir=OUT": "needs --manual_dir. Received: none",
        "--dataset=imagenet2012 --data_dir=OUT --manual_dir=OUT": "lacks ILSVRC2012_img_train.tar and",
        "--table=OUT/missing.csv --out=OUT/t.parquet --provenance=x": "missing.csv",
        "--table=a.csv --provenance=x": "--out",
        "--table=a.csv --out=OUT/t.parquet": "--provenance",
        "--table=a.csv --out=OUT/t.parquet --provenance=x --space=y": "'y'",
        "--scores=OUT/missing --out=OUT/k.parquet --provenance=x": "No such scores",
        "--scores=atlas:none --out=OUT/k.parquet --provenance=x": "atlas:none",
    },
    "predict": {
        "": "--table is required",
        "--table=nasbench201_digits": "--output is required",
        "--output=OUT --table=OUT/missing.csv": "missing.csv",
        "--output=OUT --table=nasbench201_digits --n_train=211": "--n_train=211. Allowed: 1 to 210",
        "--output=OUT --table=nasbench201_digits --n_train=0": "--n_train must be at least 1",
        "--output=OUT --table=nasbench201_digits --n_train=9 --top_k=211": "--top_k=211",
        "--output=OUT --table=nasbench201_digits --n_train=2": "--splits=0. Received: 2",
        "--output=OUT --table=nasbench201_digits --n_train=20,211": "--n_train=211. Allowed: 1 to 210",
        "--output=OUT --table=nasbench201_digits --n_train=": "--n_train must be at least 1. Received: none",
        "--output=OUT --table=nasbench201_digits --where=dataset=cifar10": "--where needs --scores. Received: none",
        "--output=OUT --table=nasbench201_digits --scores=a --where=x": "--where takes column=value",
        "--output=OUT --table=nasbench201_digits --compare=scores": "Allowed: one_stage, no_scores",
        "--output=OUT --table=nasbench201_digits --compare=no_scores": "needs --scores. Received: none",
        "--output=OUT --table=nasbench201_digits --compare=one_stage": "needs --threshold. Received: none",
        "--output=OUT --table=nasbench201_digits --target=accuracies": "'accuracies'",
        "--output=OUT --table=nasbench201_digits --target=params": "is no accuracy",
        "--output=OUT --table=nasbench201_digits --test_target=x": "'x'",
        "--output=OUT --table=nasbench201_digits --space=nasbench101": "Not a cell of NAS-Bench-101",
        "--output=OUT --table=nasbench201_digits --space=nasbench202": "'nasbench202'",
        "--output=OUT --table=nasbench201_digits --predictors=gnc": "'gnc'",
        "--output=OUT --table=nasbench201_digits --predictors=": "--predictors is empty",
        "--output=OUT --table=nasbench201_digits --form=chains": "paper|chain|reference",
        "--output=OUT --table=nasbench201_digits --width=wide": "'wide'",
        "--output=OUT --table=nasbench201_digits --norm=column": "'column'",
        "--output=OUT --table=nasbench201_digits --threshold=100": "--threshold is 0 or more and below 100",
        "--output=OUT --table=nasbench201_digits --threshold=5": "only such that lie above it",
        "--output=OUT --table=nasbench201_digits --threshold=99": "only such that lie at or below it",
        # One of the first repeat's networks lies at or below it, and some split holds that one out.
        "--output=OUT --table=nasbench201_digits --n_train=9 --repeats=1 --threshold=50": "and --splits=10, of which",
        "--output=OUT --table=nasbench201_digits --accuracy_range=50,100": "lie outside --accuracy_range",
        "--output=OUT --table=nasbench201_digits --accuracy_range=50": "the largest accuracy. Received: 50",
        "--output=OUT --table=nasbench201_digits --accuracy_range=100,50": "Received: 1.0 to 0.5",
        "--output=OUT --table=nasbench201_digits --epochs=-1": "--epochs must be at least 0",
        "--output=OUT --table=nasbench201_digits --learning_rate=-1": "learning_rate must be above 0, weight_decay",
        "--output=OUT --table=nasbench201_digits --model=OUT/a.h5": "a.h5",
        "--output=OUT --table=nasbench201_digits --model=OUT/a.keras --predictors=gp": "need the gcn",
        "--output=OUT --table=nasbench201_digits --whole_space --predictors=gp": "need the gcn",
        "--output=OUT --table=nasbench201_digits --whole_space --scores=a": "Received: both --whole_space and --scores",
        "--output=OUT --table=nasbench201_digits --proxies=synflow": "--proxies needs --scores",
        "--output=OUT --table=nasbench201_digits --scores=OUT/none": "No such scores",
        "--output=OUT --table=nasbench201_digits --latency=OUT/none.csv": "No latencies by layer are published",
        "--output=OUT --table=nasbench201_digits --window=85,75": "Received: 85.0,75.0",
        "--output=OUT --table=nasbench201_digits --candidates=0": "--candidates must be at least 1",
    },
    "reproduce": {
        "": "--experiment=ID",
        "--experiment=gs_table5_2": "--output=FOLDER",
        "--experiment=gs_table5_2 --output=OUT --scale=huge": "'huge'",
        "--experiment=gs_table5_2 --output=OUT --scale=0": "'0'",
        "--experiment=gs_table5_2 --output=OUT --scale=1.5": "'1.5'",
        "--experiment=gs_table5_2 --output=OUT --table=OUT/missing.parquet": "missing.parquet",
        "--experiment=gs_table5_2 --output=OUT --datasets=cifar11": "'cifar11'",
        "--experiment=gs_table5_2 --output=OUT --datasets=digits --targets=a,b": "--targets names columns of --table",
        "--experiment=gs_table9_9 --output=OUT": "'gs_table9_9'",
        "--experiment=gs_table5_2 --output=OUT --scores=atlas:none": "atlas:none",
        "--experiment=gs_table5_2 --output=OUT --isomorphic": "--isomorphic is for --scores",
        "--experiment=gs_table5_3 --output=OUT": "not available yet",
    },
    "train": {
        "": "--output is required",
        "--output=OUT": "Which architectures?",
        "--output=OUT --num_archs=2 --space=nasbench202": "'nasbench202'",
        "--output=OUT --num_archs=2 --dataset=cifar11": "'cifar11'",
        "--output=OUT --num_archs=2 --dataset=synthetic --train_split=tset": "'tset'",
        "--output=OUT --num_archs=2 --init=xavi": "'xavi'",
        "--output=OUT --num_archs=2 --repeats=0": "--repeats must be at least 1",
        "--output=OUT --num_archs=2 --repeats=1000001": "--repeats must be at most 1000000",
        "--output=OUT --num_archs=2 --epochs=0": "epochs",
        "--output=OUT --num_archs=2 --schedule=sometimes": "schedule",
        "--output=OUT --num_archs=2 --recipe=nasbench102": "nasbench201|nasbench101|lga",
        "--output=OUT --num_archs=2 --optimizer=adam": "sgd|rmsprop",
        "--output=OUT --num_archs=2 --clip_norm=-1": "clip_norm=-1.0. Allowed: finite and 0 or more",
        "--output=OUT --num_archs=2 --ema=1": "ema=1.0. Allowed: in [0, 1)",
        "--output=OUT --num_archs=2 --space=mnas --dropout=1": "dropout=1.0. Allowed: in [0, 1)",
        "--output=OUT --num_archs=2 --dropout=0.2": "dropout layers, of which it has none. Received: dropout=0.2",
        "--output=OUT --num_archs=2 --measured_epochs=1,12": "Received: 12. Allowed: 1 to 11",
        "--output=OUT --num_archs=2 --measured_epochs=0": "Received: 0. Allowed: 1 to 11",
        "--output=OUT --num_archs=2 --train_last=-1": "--train_last must be at least 0",
        "--output=OUT --num_archs=2 --stop_accuracy=60": "lies in (0, 1]. Received: 60",
        "--output=OUT --num_archs=2 --stop_patience=-1": "--stop_patience must be at least 0",
        "--output=OUT --num_archs=2 --stop_on=val_accuracy": "needs --val_split",
        "--output=OUT --num_archs=2 --precision=float16": "float32|float64|bfloat16",
        "--output=OUT --num_archs=2 --jit --strategy=mirrored": "--jit compiles for one device",
        "--output=OUT --num_archs=2 --strategy=mirrored --workers=2": "--workers=1",
        "--output=OUT --num_archs=2 --checkpoint_seconds=-1": "--checkpoint_seconds must be at least 0",
        "--output=OUT --num_archs=2 --shard=3/3": "'3/3'",
        "--output=OUT --num_archs=2 --table_out=table.csv": "--table_out",
    },
}
