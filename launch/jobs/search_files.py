"""The files of searches by predictors: tables that are gone on with, the first repeat's predictions."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from launch.jobs.variants import OF_VARIANT
from tfnas import files
from tfnas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from launch.jobs.knowledge import Known

# What tables have that are gone on with.
REPEATS, WIDTHS = (*OF_VARIANT, "settings", "repeat", "picks"), ("settings", "width", "mse", "n_train", "chosen")


@dataclasses.dataclass(frozen=True)
class SearchFiles:
    """Those of a folder.

    Attributes:
        path: of the folder.
    """

    path: str

    def read(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table of the folder, empty where there is none.

        Raises:
            InputError: it lacks one of the columns.
        """
        import pandas as pd
        from etils import epath

        path = epath.Path(self.path) / name
        if not path.exists():
            return pd.DataFrame(columns=list(columns))
        try:
            frame = pd.read_csv(io.BytesIO(path.read_bytes()), dtype={"settings": str})
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is none that this command goes on with, and no table. Give another --output"
            ) from error
        if missing := [column for column in columns if column not in frame]:
            raise InputError(
                f"{path} is none that this command goes on with: it lacks {', '.join(missing)}. Received: "
                f"{', '.join(map(str, frame.columns))}. Give another --output"
            )
        return frame

    def write(self, name: str, frame: pd.DataFrame) -> None:
        """A table of the folder, whole or not at all."""
        from etils import epath

        files.write_atomic(epath.Path(self.path) / name, frame.to_csv(index=False).encode())

    def clear(self, made: Mapping[str, bool]) -> None:
        """Removes what another command has left in a folder of searches, and says so.

        Args:
            made: name of a file -> whether this command writes it anew.

        Raises:
            InputError: the folder's repeats.csv is another file.
        """
        from etils import epath

        folder = epath.Path(self.path)
        if self.read("repeats.csv", REPEATS).empty:
            return
        left = [name for name, is_made in made.items() if not is_made and (folder / name).exists()]
        for name in left:
            (folder / name).unlink()
        if left:
            print(f"removed, as of another command: {', '.join(left)}")

    def has_predictions(self, digest: str) -> bool:
        """Whether predictions.parquet is of certain settings."""
        import pandas as pd
        from etils import epath

        path = epath.Path(self.path) / "predictions.parquet"
        try:
            return pd.read_parquet(io.BytesIO(path.read_bytes()), columns=["arch"]).attrs.get("settings") == digest
        except (OSError, ValueError):  # there is none, or it is none of these
            return False

    def write_predictions(self, known: Known, predicted: np.ndarray, digest: str) -> None:
        """predictions.parquet and predictions.png.

        Args:
            known: N networks.
            predicted: fractions [N]; below 0 what a first stage turns down, which is not drawn.
            digest: of the settings.
        """
        import pandas as pd
        from etils import epath

        from tfnas.evidence import plots as saving
        from tfnas.predictor import plots

        folder, kept = epath.Path(self.path), predicted >= 0
        if kept.any():
            label = f"{known.target} (percent)"
            figure = plots.agreement(100 * predicted[kept], 100 * known.accuracies[kept], label=label)
            saving.save(figure, folder / "predictions.png")
        else:
            (folder / "predictions.png").unlink(missing_ok=True)
        # Last, as its digest says that both are there.
        frame, buffer = pd.DataFrame({"arch": known.archs, "predicted": 100 * predicted}), io.BytesIO()
        frame.attrs["settings"] = digest
        frame.to_parquet(buffer, index=False)
        files.write_atomic(folder / "predictions.parquet", buffer.getvalue())
