"""Scoring: what is recorded for each proxy, and that scores depend on nothing else."""

import dataclasses

import numpy as np
import pytest

import proxies
import spaces
from launch.flags.execution import Execution
from launch.flags.scoring import Scoring
from launch.jobs import base
from launch.jobs.scores import ScoreJob
from launch.score import Config, jobs
from tfnas import data, environment, seeds
from tfnas.errors import InputError
from tfnas.networks import weights
from tfnas.runs import records

ARCHS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
)
SMALL = {"dataset": "synthetic", "width": 2, "depth": 1, "batch_size": 4}
ASKED = ("gradsign", "fnorm", "zen")
EVERY = {*ASKED, "params", "flops"}


def settings(**more):
    return Scoring(**{"proxies": ASKED} | SMALL | more)


def fake_evaluate(graph, weights, images, labels, names, options, **more):
    """Numbers that depend on weights, batch, proxy and noise seed, as real scores do."""
    total = sum(float(np.abs(array).sum(dtype=np.float64)) for array in weights.values())
    total += float(images.sum(dtype=np.float64)) + options.seed / 2**63
    return {
        name: proxies.Outcome(total * (1 + len(name)), "ok", "", 0.001, proxies.get(name).mode(options))
        for name in names
    }


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(environment, "device", lambda: "test")
    monkeypatch.setattr(proxies, "evaluate", fake_evaluate)


def run(folder, archs=ARCHS, execution=None, **more):
    base.run(ScoreJob(settings(**more)), archs, Execution(output=str(folder), **execution or {}))
    return records.read(folder, stable=True)


@dataclasses.dataclass(frozen=True)
class Handed:
    """What the job has handed to `proxies.evaluate` for one network."""

    graph: object
    weights: dict
    images: np.ndarray
    labels: np.ndarray
    options: proxies.Options
    second: tuple | None
    thin: object


@pytest.fixture
def handed(monkeypatch):
    """Runs a job and gives what it hands over, by architecture and repeat."""

    def collect(archs=ARCHS, **more):
        found = []

        def note(graph, weights, images, labels, names, options, *, second, thin):
            found.append(Handed(graph, weights, images, labels, options, second, thin))
            return {name: proxies.Outcome(1.0, "ok") for name in names}

        monkeypatch.setattr(proxies, "evaluate", note)
        job = ScoreJob(settings(**more))
        worker, tasks = job.worker(), job.tasks(archs)
        for task in tasks:
            worker.compute(task)
        return {(task.arch, task.repeat): entry for task, entry in zip(tasks, found, strict=True)}

    return collect


def same_arrays(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def test_repeats_seeds_and_architectures_have_weights_and_noise_of_their_own(handed):
    found = [handed(repeats=2, seed=seed) for seed in (5, 6)]
    for seed, entries in zip((5, 6), found, strict=True):
        for (arch, repeat), entry in entries.items():
            derived = seeds.derive_seed(seed, "nasbench201", arch, repeat)
            graph = spaces.get("nasbench201").layer_graph(arch, width=2, depth=1, classes=10, input_shape=(32, 32, 3))
            assert entry.options.seed == derived
            assert entry.graph == graph
            assert same_arrays(entry.weights, weights.initialize(graph, "torch", derived))
    entries = [entry for part in found for entry in part.values()]
    for name in ("stem.0.kernel", "classifier.kernel"):
        assert len({entry.weights[name].tobytes() for entry in entries}) == len(entries) == 8
    assert len({entry.options.seed for entry in entries}) == 8


def test_the_initialisation_is_the_one_asked_for(handed):
    (entry,) = handed(ARCHS[:1], init="xavier").values()
    seed = seeds.derive_seed(0, "nasbench201", ARCHS[0], 0)
    assert same_arrays(entry.weights, weights.initialize(entry.graph, "xavier", seed))
    assert not same_arrays(entry.weights, weights.initialize(entry.graph, "torch", seed))
    assert entry.options.init == "xavier"


def test_batches_are_of_the_split_and_the_seed_and_the_same_for_all_networks(handed):
    for seed, split in ((5, "train"), (6, "train"), (5, "test")):
        images, labels = data.batch("synthetic", split, 8, seed)
        for entry in handed(proxies=("zico",), seed=seed, split=split).values():
            np.testing.assert_array_equal(entry.images, images[:4])
            np.testing.assert_array_equal(entry.labels, labels[:4])
            np.testing.assert_array_equal(entry.second[0], images[4:])
            np.testing.assert_array_equal(entry.second[1], labels[4:])
    assert not np.array_equal(data.batch("synthetic", "train", 8, 5)[0], data.batch("synthetic", "train", 8, 6)[0])
    assert not np.array_equal(images[:4], images[4:])


def test_there_is_no_second_batch_where_none_is_compared_or_the_split_has_no_more(handed):
    (one,) = handed(ARCHS[:1]).values()
    (short,) = handed(ARCHS[:1], proxies=("zico",), split="train[:7]").values()
    (enough,) = handed(ARCHS[:1], proxies=("zico",), split="train[:8]").values()
    assert (one.second, short.second, len(enough.second[1])) == (None, None, 4)
    assert len(short.labels) == len(one.labels) == 4


def test_what_else_is_scored_changes_no_augmented_image(handed):
    common = {"augment": True, "split": "train[:8]"}
    (one,) = handed(ARCHS[:1], **common).values()
    (two,) = handed(ARCHS[:1], proxies=("zico", "snip"), **common).values()
    np.testing.assert_array_equal(one.images, two.images)
    assert len(two.second[0]) == len(one.images)
    assert not np.array_equal(two.second[0], two.images)


def test_augmented_images_are_windows_of_the_padded_ones_fixed_by_the_seed(handed):
    (plain,) = handed(ARCHS[:1]).values()
    (once,), (again,) = handed(ARCHS[:1], augment=True).values(), handed(ARCHS[:1], augment=True).values()
    np.testing.assert_array_equal(once.images, again.images)
    black = np.float32(data.info("synthetic").black)
    differing = 0
    for image, seen in zip(plain.images, once.images, strict=True):
        padded = np.tile(black, (40, 40, 1))
        padded[4:36, 4:36] = image
        windows = [padded[row : row + 32, column : column + 32] for row in range(9) for column in range(9)]
        mirrored = padded[:, ::-1]
        windows += [mirrored[row : row + 32, column : column + 32] for row in range(9) for column in range(9)]
        assert any(np.allclose(window, seen, atol=1e-6) for window in windows)
        differing += not np.array_equal(image, seen)
    assert differing


@pytest.mark.parametrize("name", spaces.names())
def test_the_thin_network_is_the_same_architecture_as_narrow_as_its_space_allows(name, handed):
    space = spaces.get(name)
    arch = str(space.sample(np.random.default_rng(0)))
    sized = space.min_width == 0  # the architecture itself says how wide and deep its network is
    (entry,) = handed([arch], space=name, width=None if sized else 8, depth=None).values()
    shape = {"classes": 10, "input_shape": (4, 4, 3)}
    assert entry.thin(depth=1, input_shape=(4, 4, 3)) == space.layer_graph(
        arch, width=space.min_width, depth=1, **shape
    )
    assert sized or entry.graph.count_params() > entry.thin(depth=1, input_shape=(4, 4, 3)).count_params()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("setting", "value", "changed"),
    [
        ("ntk_batch_size", 2, {"fnorm"}),
        ("ntk_logits", "trace", {"fnorm"}),
        ("ntk_params", "all", {"fnorm"}),
        ("prescribed_init", False, {"zen"}),
        ("noise_repeats", 3, {"zen"}),
        ("bn", "inference", {"fnorm", "gradsign"}),
        ("dtype", "float64", {"fnorm", "gradsign", "zen"}),
        ("augment", True, {"fnorm", "gradsign", "zen"}),
        ("init", "xavier", EVERY),
        ("batch_size", 8, EVERY),
        ("width", 4, EVERY),
        ("flavour", "zcnas", EVERY),
        ("synflow_kept_bn", ("reduction",), set()),
    ],
)
def test_another_setting_lies_beside_the_first(tmp_path, setting, value, changed):
    run(tmp_path, ARCHS[:1])
    frame = run(tmp_path, ARCHS[:1], **{setting: value})
    assert set(frame.proxy[frame.proxy.duplicated()]) == changed
    assert len(ScoreJob(settings(**{setting: value})).results(ARCHS[:1], str(tmp_path))) == 5


@pytest.mark.usefixtures("fake")
def test_records_hold_the_settings_as_used(tmp_path):
    frame = run(tmp_path, ARCHS[:1], width=None, depth=None, ntk_batch_size=2).set_index("proxy")
    assert (frame.width == 16).all()
    assert (frame.depth == 5).all()
    assert (frame.flavour == "tiny").all()
    assert frame.batch_size.to_dict() == {"gradsign": 4, "fnorm": 2, "zen": 4, "params": 4, "flops": 4}
    assert frame.bn.to_dict() == {"gradsign": "example", "fnorm": "batch", "zen": "batch", "params": "", "flops": ""}
    assert frame.options["fnorm"].startswith('{"classes":10,"input_shape":[32,32,3],"kernel":"sum_logits"')


def test_every_option_that_changes_a_proxy_is_in_its_records():
    """For each option the proxies whose score moves with it have registered it; and each has one that it moves."""
    other = {"ntk_logits": "trace", "ntk_params": "all", "prescribed_init": False, "noise_repeats": 1}
    other["synflow_kept_bn"] = ("reduction",)
    registered = {option for name in proxies.names() for option in proxies.get(name).options}
    assert set(other) == registered
    first = Scoring(flavour="zcnas", **SMALL)

    def scores(changes):
        job = ScoreJob(dataclasses.replace(first, **changes))
        (task,) = job.tasks(ARCHS[:1])
        values = job.worker().compute(task)
        return {blank.proxy: value["score"] for blank, value in zip(task.blanks, values, strict=True)}

    before = scores({})
    for option, value in other.items():
        after = scores({option: value})
        moved = {name for name in before if before[name] != after[name]}
        assert moved, f"{option} changes nothing"
        assert moved <= {name for name in before if option in proxies.get(name).options}, option


@pytest.mark.parametrize("name", spaces.names())
def test_proxies_that_are_published_on_a_thin_network_score_every_space(name, tmp_path):
    space = spaces.get(name)
    archs = [str(space.sample(np.random.default_rng(seed))) for seed in range(3)]
    frame = run(tmp_path, archs, space=name, width=None, proxies=("linear_regions",))
    assert set(frame.status) == {"ok"}
    assert frame[frame.proxy == "linear_regions"].score.between(1, 1000).all()


# Which job scores what -----------------------------------------------------------------------------------------------


def config(**more):
    return Config(**{"output": "o", "num_archs": 1} | SMALL | more)


def test_names_and_their_jobs():
    assert config(proxies=("snip",)).names() == ["snip", "params", "flops"]
    assert config(proxies=("all",)).names() == proxies.names()
    assert config(proxies=("nngp",)).names() == []
    assert config(proxies=("ntk", "snip", "nngp")).names("ensemble") == ["nngp", "ntk"]
    assert config(proxies=("snip", "fear")).names("stages") == ["fear"]
    found = jobs(config(proxies=("ntk", "snip", "nngp"), n_train=(5, 7), data_dir="d", width=3))
    assert [type(job).__name__ for job in found] == ["ScoreJob", "InferenceJob", "InferenceJob"]
    assert [job.settings.kernel for job in found[1:]] == ["nngp", "ntk"]
    for job in found[1:]:
        assert (job.settings.n_train, job.settings.data_dir, job.settings.width) == ((5, 7), "d", 3)


@pytest.fixture
def made_up(monkeypatch):
    """Registers a proxy that consumes something, for one test."""

    def register(consumes, compute=lambda subject: 1.0, **more):
        monkeypatch.setattr(proxies.base, "_REGISTRY", dict(proxies.base._REGISTRY))
        proxies.base.proxy("made_up", consumes=consumes, summary="made up", **more)(compute)

    return register


@pytest.mark.parametrize("consumes", [kind for kind, subject in proxies.base.CONSUMES.items() if subject == "network"])
def test_a_proxy_of_a_network_is_scored_once_it_is_registered(tmp_path, made_up, consumes):
    made_up(consumes, lambda passes: passes.graph.count_params() + passes.options.n_val, options=("n_val",))
    frame = run(tmp_path, ARCHS[:1], proxies=("made_up",)).set_index("proxy")
    assert frame.status.made_up == "ok"
    assert frame.score.made_up == frame.score.params + 500
    assert '"n_val":500' in frame.options.made_up


def test_a_proxy_of_an_ensemble_is_scored_once_it_is_registered(tmp_path, made_up):
    """It may ask for both kernels, and its sizes are those of the flags."""
    made_up("ensemble", lambda ensemble: ensemble.accuracy("nngp") + 2 * ensemble.accuracy("ntk"))
    sizes = {"n_train": (10, 20), "n_val": (15,), "ensemble": (1, 2)}
    more = {"dataset": "digits", "proxies": ("made_up", "nngp", "ntk")}
    for job in jobs(config(**sizes | more)):
        base.run(job, ARCHS[:1], Execution(output=str(tmp_path)))
    scores = records.read(tmp_path).set_index("proxy").score
    for size in ("10_15_1", "20_15_1", "10_15_2", "20_15_2"):
        assert scores[f"made_up_{size}"] == scores[f"nngp_{size}"] + 2 * scores[f"ntk_{size}"]


def test_a_proxy_of_a_training_is_scored_once_it_is_registered(tmp_path, made_up, digits_dir):
    made_up("training", lambda epochs: len(epochs) + epochs[-1].train_accuracy)
    more = {"dataset": "digits", "data_dir": str(digits_dir), "train_split": "train[:64]", "train_batch_size": 32}
    for job in jobs(config(proxies=("made_up", "shortreg"), after_epochs=(1, 2), crop=0, **more)):
        base.run(job, ARCHS[:1], Execution(output=str(tmp_path)))
    scores = records.read(tmp_path).set_index("proxy").score
    for epochs in (1, 2):
        assert scores[f"made_up_after{epochs}"] == epochs + scores[f"shortreg_after{epochs}"]


def test_a_proxy_that_no_job_can_compute_yet_is_an_error_that_says_so(made_up):
    made_up("predictor")
    assert proxies.names("predictor") == ["made_up"]
    for subject in ("network", "ensemble"):
        with pytest.raises(InputError, match=r"made_up, which consumes predictor. Allowed: all, .*nngp, ntk, shortreg"):
            config(proxies=("snip", "made_up")).names(subject)
    assert "made_up" not in config(proxies=("all",)).names()
