"""The registry: what a proxy says of itself."""

import itertools
import subprocess
import sys

import pytest

import proxies
from proxies import base
from tests.proxies.common import evaluate
from tfnas.errors import InputError


def test_registry():
    assert len(set(proxies.names())) == len(proxies.names())
    with pytest.raises(InputError, match=r"Unknown proxy.*grasp"):
        proxies.get("grass")
    with pytest.raises(ValueError, match="registered already"):
        base.proxy("snip", consumes="nothing", summary="again")(lambda passes: 0.0)


def test_subjects():
    """Every proxy has one; those of a network are what is meant where nothing is said."""
    subjects = [proxies.names(subject) for subject in dict.fromkeys(base.CONSUMES.values())]
    assert sorted(itertools.chain.from_iterable(subjects)) == sorted(proxies.names(None))
    assert proxies.names() == proxies.names("network")
    assert proxies.names("ensemble") == ["nngp", "ntk"]
    assert set(proxies.SIZES) < set(proxies.names())
    for name in proxies.names(None):
        entry = proxies.get(name)
        assert entry.summary
        assert entry.compute.__doc__
        assert entry.batches >= 1


def test_what_nothing_gives_cannot_be_consumed():
    with pytest.raises(InputError, match=r"'horoscope'.*ensemble"):
        base.proxy("made_up", consumes="horoscope", summary="")


@pytest.fixture
def made_up(monkeypatch):
    def register(consumes, compute=lambda subject: 1.0):
        monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
        base.proxy("made_up", consumes=consumes, summary="made up")(compute)

    return register


@pytest.mark.parametrize("consumes", base.CONSUMES)
def test_each_kind_of_subject_is_given_or_missed_in_clear_words(made_up, consumes):
    made_up(consumes, lambda subject: type(subject).__name__ == {"ensemble": "Ensemble"}.get(consumes, "Passes"))
    if base.CONSUMES[consumes] in ("network", "ensemble"):
        assert evaluate(["made_up"], n_train=3, n_val=5)["made_up"].score == 1.0
    else:
        with pytest.raises(InputError, match=f"made_up scores no untrained network.*Needed: {consumes}"):
            evaluate(["made_up"])


def test_importing_proxies_needs_no_tensorflow():
    code = "import sys, proxies; proxies.names(); print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
