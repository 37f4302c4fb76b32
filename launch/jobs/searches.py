"""Searches by several predictors, numbers of networks and features: rows that are kept, and what they tell."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launch.flags.learning import NO_SCORES, ONE_STAGE, Learning
from launch.flags.predictors import AUTO, GCN, Predictors
from launch.jobs import prediction
from launch.jobs.base import narrow
from launch.jobs.knowledge import Known
from launch.jobs.prediction import RANDOM
from tfnas import files

if TYPE_CHECKING:
    import pandas as pd

    from tfnas.predictor.settings import Settings

# What tells a variant in rows, and what a repeat of it finds; the last three of good networks, with --threshold.
OF_VARIANT = ("predictor", "n_train", "stages", "scores")
MEASURES = ("val", "test", "mse", "tau", "r2", "mse_above", "tau_above", "r2_above")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One of what is compared.

    Attributes:
        predictor: its name, or random search.
        n_train: networks to learn from.
        stages: 1 or 2.
        scores: number of scores that are features.
    """

    predictor: str
    n_train: int
    stages: int = 1
    scores: int = 0

    @property
    def name(self) -> str:
        """For plots, whatever the number of networks."""
        parts = [self.predictor, "two stages" * (self.stages == 2), f"{self.scores} scores" * (self.scores > 0)]
        return ", ".join(filter(None, parts))


def variants(asked: Learning, known: Known) -> list[Variant]:
    """All that is compared, what was asked for before what is left out of it, random search last for each N."""
    scored = [known.graphs.extras.shape[1]]
    scored += [0] if NO_SCORES in asked.compare else []
    found = []
    for n_train in asked.sizes():
        for name in asked.names():
            stages = [2 if asked.threshold and name == GCN else 1]
            stages += [1] if ONE_STAGE in asked.compare and name == GCN else []
            found += [Variant(name, n_train, some, scores) for scores in scored for some in stages]
        found.append(Variant(RANDOM, n_train))
    return found


@dataclasses.dataclass(frozen=True)
class Searches:
    """Searches of one table, kept in a folder.

    Attributes:
        asked: flags.
        known: the table.
        output: folder.
    """

    asked: Learning
    known: Known
    output: str

    def of(self, variant: Variant) -> Known:
        """The table as a variant sees it."""
        return self.known if variant.scores else self.known.without_scores()

    def cut(self, variant: Variant) -> float | None:
        """The threshold of a variant, as a fraction."""
        return self.asked.cut() if variant.stages == 2 else None

    def settings(self, variant: Variant) -> Settings:
        """Of the gcn; where the width is to be chosen, the one that the first repeat's networks decide on."""
        settings = narrow(self.asked, Predictors).settings()
        return self._chosen(variant) if self.asked.width == AUTO and variant.predictor == GCN else settings

    def _chosen(self, variant: Variant) -> Settings:
        import pandas as pd

        from tfnas.predictor import choosing

        chosen = self.__dict__.setdefault("_widths", {})
        key = variant.n_train, variant.scores
        if key not in chosen:
            known, settings = self.of(variant), narrow(self.asked, Predictors).settings()
            rows = prediction.draw(known, variant.n_train, 0, self.asked.seed)
            graphs, accuracies = known.graphs.take(rows), known.accuracies[rows]
            found, table = choosing.choose_width(settings, graphs, accuracies, seed=self.asked.seed)
            told = table.assign(n_train=variant.n_train, scores=variant.scores, chosen=found.width)
            chosen[key] = found, told
            self.write("widths.csv", pd.concat([told for _, told in chosen.values()]))
            print(f"{variant.name}, N = {variant.n_train}: width {found.width}, 1.5 times the parameters of the best")
        return chosen[key][0]

    def digest(self, variant: Variant) -> str:
        """Of all that changes a repeat of a variant."""
        known, asked = self.of(variant), self.asked
        data = [*known.archs, known.accuracies.tobytes().hex(), known.tests.tobytes().hex()]
        data += [known.graphs.extras.tobytes().hex()]
        fields = dataclasses.asdict(narrow(asked, Predictors)) | {"top_k": asked.top_k}
        del fields["predictors"]
        parts = [repr(sorted(fields.items())), repr(variant), str(asked.seed), *data]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def cross_validate(self) -> pd.DataFrame:
        """Errors of every variant on held-out thirds of what its first repeat learns from, a row for each split."""
        import pandas as pd

        frames = []
        for variant in variants(self.asked, self.known):
            if variant.predictor == RANDOM:
                continue
            known, asked = self.of(variant), self.asked
            rows = prediction.draw(known, variant.n_train, 0, asked.seed)
            cut = self.cut(variant)
            settings = self.settings(variant)
            frame = prediction.cross_validation(variant.predictor, settings, known, rows, asked.splits, asked.seed, cut)
            frames.append(frame.assign(**dataclasses.asdict(variant)))
        found = pd.concat(frames, ignore_index=True)
        self.write("cross_validation.csv", found)
        return found

    def repeats(self) -> pd.DataFrame:
        """A row for each variant and repeat; what repeats.csv has already is not computed anew."""
        import pandas as pd
        from etils import epath

        path, wanted = epath.Path(self.output) / "repeats.csv", range(self.asked.repeats)
        rows: list[dict[str, Any]] = []
        if path.exists():
            rows = pd.read_csv(path, dtype={"settings": str}).to_dict("records")
        done = {(row["settings"], row["repeat"]) for row in rows}
        digests = {variant: self.digest(variant) for variant in variants(self.asked, self.known)}
        for variant, digest in digests.items():
            for row in self._found(variant, [repeat for repeat in wanted if (digest, repeat) not in done]):
                row["picks"] = json.dumps([int(pick) for pick in row["picks"]])
                rows.append({**dataclasses.asdict(variant), "settings": digest, **row})
                self.write("repeats.csv", pd.DataFrame(rows))
        frame = pd.DataFrame(rows)
        frame = frame[frame.settings.isin(digests.values()) & frame["repeat"].isin(wanted)]
        # In the order of the variants, whichever was computed first.
        order = {digest: place for place, digest in enumerate(digests.values())}
        frame = frame.sort_values("repeat", kind="stable").sort_values(
            "settings", key=lambda s: s.map(order), kind="stable"
        )
        return frame.assign(picks=[json.loads(text) for text in frame.picks])

    def _found(self, variant: Variant, repeats: Sequence[int]) -> Iterator[dict[str, Any]]:
        """What repeats of a variant find."""
        known, n_train, top_k, seed = self.of(variant), variant.n_train, self.asked.top_k, self.asked.seed
        if variant.predictor == RANDOM:
            for repeat in repeats:
                yield {"repeat": repeat, **prediction.random_search(known, n_train, top_k, repeat, seed)}
            return
        for repeat, predicted, told in self._predictions(variant, repeats):
            learned = prediction.draw(known, n_train, repeat, seed)
            if not repeat and variant == variants(self.asked, self.known)[0]:
                self._write_predictions(predicted)
            found = prediction.judged(known, predicted, learned, top_k, above=self.asked.cut(), told=told)
            yield {"repeat": repeat, **found}

    def _predictions(
        self, variant: Variant, repeats: Sequence[int]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """(repeat, predictions by which networks rank [N], of two stages what the second tells of all of them [N])."""
        known, n_train, seed = self.of(variant), variant.n_train, self.asked.seed
        if variant.predictor != GCN:
            codes = known.flat(slice(None)) if repeats else None
            for repeat in repeats:
                yield repeat, prediction.baseline(variant.predictor, known, codes, n_train, repeat, seed), None
            return
        from tfnas.predictor import model

        for part in prediction.together(repeats):
            predictor = prediction.train(self.settings(variant), known, n_train, part, seed, self.cut(variant))
            told, probability = predictor.predict_stages(known.graphs)
            predicted = model.ranked(told, probability)
            for place, repeat in enumerate(part):
                yield repeat, predicted[:, place], None if probability is None else told[:, place]

    def _write_predictions(self, predicted: np.ndarray) -> None:
        import io

        import pandas as pd
        from etils import epath

        from tfnas.evidence import plots as saving
        from tfnas.predictor import plots

        known, buffer = self.known, io.BytesIO()
        pd.DataFrame({"arch": known.archs, "predicted": 100 * predicted}).to_parquet(buffer, index=False)
        files.write_atomic(epath.Path(self.output) / "predictions.parquet", buffer.getvalue())
        kept = predicted >= 0
        if kept.any():
            label = f"{known.target} (percent)"
            figure = plots.agreement(100 * predicted[kept], 100 * known.accuracies[kept], label=label)
            saving.save(figure, epath.Path(self.output) / "predictions.png")

    def write(self, name: str, frame: pd.DataFrame) -> None:
        """A table of the folder, whole or not at all."""
        from etils import epath

        files.write_atomic(epath.Path(self.output) / name, frame.to_csv(index=False).encode())
