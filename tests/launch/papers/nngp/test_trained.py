"""The jobs of figure 7: at which scale, on what, how long."""

import pytest

from launch.flags.reproduction import Reproduction
from launch.jobs.inference import InferenceJob
from launch.jobs.training import TrainJob
from launch.papers.nngp.trained import Trained
from launch.papers.registry import EXPERIMENTS

FIG7 = EXPERIMENTS["nngp_fig7"]


def jobs_of(datasets=(), **request):
    return FIG7.jobs.of(FIG7, Reproduction(datasets=datasets, **request), "mnas", datasets)


def sizes_of(jobs):
    return [
        (of.settings.labels, *size)
        for of in jobs
        if isinstance(of, InferenceJob)
        for size in of.settings.combinations()
    ]


def test_jobs_at_the_papers_scale():
    jobs = jobs_of(scale="paper")
    assert sizes_of(jobs) == [(0, 8000, 50_000, 4), (100, 1000, 5000, 4), (100, 8000, 5000, 4)]
    assert {(job.settings.dataset, job.settings.seed) for job in jobs} == {("imagenet2012", 42)}
    assert {job.settings.network().bn_momentum for job in jobs if isinstance(job, InferenceJob)} == {0.997}
    (short,) = [job for job in jobs if isinstance(job, TrainJob)]
    (full,) = FIG7.second.jobs.of(FIG7, Reproduction(scale="paper"), "mnas", ())
    assert (short.settings.epochs, full.settings.epochs) == (5, 400)
    assert short.settings.network().input_shape == (224, 224, 3)


def test_small_jobs_hold_their_validation_images_out():
    jobs = jobs_of(("cifar100",))
    assert sizes_of(jobs) == [(20, 500, 1000, 4)]
    for job in jobs[1:]:
        assert (job.settings.train_split, job.settings.val_split) == ("train[:35%]", "train[35%:]")
    # Nothing is trained longer: its records are there already.
    (again,) = Trained(full=True).of(FIG7, Reproduction(), "mnas", ("cifar100",))
    assert again == jobs[-1]


@pytest.mark.parametrize("datasets", [(), ("digits",)])
def test_digits_stand_in_where_cifar100_is_not_at_hand(tmp_path, datasets):
    jobs = jobs_of(datasets, data_dir=str(tmp_path))
    assert {job.settings.dataset for job in jobs} == {"digits"}
    assert sizes_of(jobs) == [(0, 100, 200, 4)]


def test_small_jobs_on_photographs_hold_nothing_out():
    """There may be one image a class."""
    jobs = jobs_of(("imagenet2012/32x32",))
    assert sizes_of(jobs) == [(100, 100, 100, 4)]
    for job in jobs[1:]:
        assert (job.settings.train_split, job.settings.val_split) == ("train[:800]", "train[:800]")
        assert job.settings.dataset == "imagenet2012/32x32"
