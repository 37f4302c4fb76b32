import numpy as np
import pandas as pd
import pytest

from tests.launch.predict.cases import SPACE, accuracies
from tfnas import files
from tfnas.evidence import plots


@pytest.fixture(autouse=True)
def undrawn(uncompiled, monkeypatch):
    """Figures are made and not drawn, which takes longest; the documentation's examples draw them."""
    monkeypatch.setattr(plots, "save", lambda figure, path: files.write_atomic(path, b""))


@pytest.fixture(scope="module")
def archs():
    return [str(arch) for arch in SPACE.sample_distinct(np.random.default_rng(0), 60)]


@pytest.fixture
def table(tmp_path, archs):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"arch": archs, "val": accuracies(archs)})
    frame.assign(test=frame["val"][::-1].to_numpy()).to_csv(path, index=False)
    return path
