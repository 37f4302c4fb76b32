"""The jobs that figures of inference need."""

from launch.flags.reproduction import Reproduction
from launch.papers.nngp.inferred import Inferred
from launch.papers.registry import EXPERIMENTS


def settings_of(name="nngp_fig1", space="nasbench101", dataset="cifar10", **request):
    experiment = EXPERIMENTS[name]
    return [job.settings for job in experiment.jobs.of(experiment, Reproduction(**request), space, (dataset,))]


def test_jobs_have_the_papers_sizes_and_batches():
    few, many = settings_of(table="t", scale="paper")
    assert (few.n_train, few.calibration()) == ((100,), 100)
    assert (many.n_train, many.calibration()) == ((500, 2000, 8000), 250)
    for settings in (few, many):
        assert (settings.dataset, settings.space, settings.network().width) == ("cifar10", "nasbench101", 128)
        assert settings.counts("n_val") == [500, 2000, 5000, 10000]
        assert settings.counts("ensemble") == [1, 2, 4, 8, 16, 32]
        assert settings.network().bn_momentum == 0.997
        assert len(settings.regularizers) == 20


def test_small_jobs_and_those_on_digits():
    (small,) = settings_of(table="t")
    assert (small.n_train, small.n_val, small.ensemble) == ((100,), (500,), (1, 2))
    (embedded,) = settings_of(space="nasbench201", dataset="digits")
    assert (embedded.dataset, embedded.n_val, embedded.network().width) == ("digits", (200,), 16)


def test_jobs_of_ablations():
    assert {settings.bn_momentum for settings in settings_of("nngp_figS1")} == {0.0, 0.997}
    kernels = settings_of("nngp_fig5", table="t", scale="paper")
    assert [(of.kernel, of.n_train, of.n_val) for of in kernels] == [
        (kernel, (100,), (1000,)) for kernel in ("nngp", "ntk")
    ]


def test_equal_requests_give_equal_jobs():
    assert settings_of(seed=1) == settings_of(seed=1) != settings_of(seed=2)
    assert Inferred() == Inferred()
