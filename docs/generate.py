"""The parts of the documentation that are made of the code and of the files of results.

    python -m docs.generate             # writes them anew (make docs); a test fails while one is stale

They are the tables of proxies in docs/proxies.md, of experiments in docs/experiments.md and of recipes in
docs/training.md, each between two comments, and the README.md beside every result of `launch.reproduce`. What stands
there between the title and the comment, what the result shows, is written by hand and kept.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import proxies
from launch import reproduce
from launch.papers import registry
from launch.papers.base import Experiment
from launch.papers.facts import facts
from tfnas import training

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTE = "made by `make docs`"
# Rows of a result that its README shows, and measures that are points of a curve, which the picture shows.
SHOWN = 24
CURVES = {"PQETP"}
# Measures whose brackets are intervals of a bootstrap; others say in their notes what theirs are.
CORRELATIONS = {"kendall", "spearman", "pearson"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def proxy_table() -> str:
    """A row for each proxy of the registry, then for each aggregate."""
    rows = []
    for name in _proxies():
        entry = proxies.get(name)
        options = [option for option in (*entry.options, entry.batch_option) if option]
        others = [mode for mode in entry.modes if mode != entry.bn] if entry.bn else []
        bn = f"{entry.bn} ({', '.join(others)})" if others else entry.bn
        rows.append([f"`{name}`", entry.consumes, bn or "-", ", ".join(f"`{o}`" for o in options), entry.summary])
    for name, (needed, function) in proxies.AGGREGATES.items():
        rows.append([f"`{name}`", f"scores: {', '.join(needed)}", "-", "", _summary(function)])
    return table(("proxy", "consumes", "BN", "options", "score"), rows)


def _proxies() -> list[str]:
    return [name for subject in dict.fromkeys(proxies.base.CONSUMES.values()) for name in proxies.names(subject)]


def _summary(function: object) -> str:
    return (function.__doc__ or "").split(". ")[0].split("\n")[0].rstrip(".:")


def experiment_table() -> str:
    """A row for each table and figure of the papers."""
    rows = []
    for name, fact in facts().items():
        made = registry.EXPERIMENTS.get(name)
        result = ROOT / "results" / name
        shown = f"[{name}](../results/{name}/README.md)" if result.is_dir() else name
        size = _networks(made) if made else "not yet"
        rows.append([shown, fact["kind"], size, f"{fact['paper']}: {fact['title']}"])
    return table(("experiment", "kind", "networks, small / paper", "what"), rows)


def _networks(made: Experiment) -> str:
    """Of how many networks it is at both scales."""
    if made.jobs is None and made.columns:
        return "all of the table"
    return f"{made.small_size:,} / {made.paper_size:,}"


def recipe_table() -> str:
    """A row for each training recipe; after the first only what differs from it."""
    names = [field.name for field in dataclasses.fields(training.Recipe)]
    first, rows = next(iter(training.RECIPES.values())), []
    for name, recipe in training.RECIPES.items():
        shown = names[:9] if recipe is first else recipe.options()
        values = [
            f"`{key}={getattr(recipe, key)}`"
            for key in names
            if key in shown and (recipe is first or getattr(recipe, key) != getattr(first, key))
        ]
        rows.append([f"`{name}`", ", ".join(values)])
    return table(("recipe", "settings"), rows)


def result_page(folder: pathlib.Path) -> str:
    """The README.md of one result of `launch.reproduce`."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    made = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    with (folder / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = [row for row in rows if row["measure"] not in CURVES][:SHOWN]
    experiment, fact = registry.get(config["experiment"]), facts()[config["experiment"]]
    date, versions = made["started"].partition("T")[0], made["packages"]
    cores = "1 core" if made["cores"] == 1 else f"{made['cores']} cores"
    parts = [
        f"# {folder.name}: {fact['title']}",
        *_kept(folder / "README.md"),
        f"<!-- {NOTE} -->",
        f"{fact['paper']}. Made on {date}, {made['cpu']}, {cores}, TensorFlow {versions['tensorflow']}, "
        f"Keras {versions['keras']}. All numbers are in `results.csv`, settings in `config.json` and `recipe.json`.",
        "```bash\n" + _command(config, folder) + "\n```",
        f"![{fact['title']}]({experiment.id}.png)",
        _rows(shown),
    ]
    if len(rows) > len(shown):
        parts.append(f"{len(rows) - len(shown)} more rows are in `results.csv`.")
    if {row["measure"] for row in shown if row["low"]} & CORRELATIONS and "brackets are" not in experiment.deviations:
        drawn = "classes of isomorphic networks" if config.get("isomorphic") else "networks"
        parts.append(f"Brackets are 95 % bootstrap intervals over {drawn}.")
    notes = [note for note in (fact.get("note", ""), experiment.deviations) if note]
    if notes:
        parts.append("Differences from the paper, and other notes: " + "; ".join(notes) + ".")
    if experiment.id.startswith("nngp_"):
        parts.append("[nngp](../nngp.md) describes the networks, their accuracies and records, and what was found.")
    return "\n\n".join(parts) + "\n"


def _kept(page: pathlib.Path) -> list[str]:
    """What is written by hand between the title of a page and its generated part."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    written = text.partition("\n")[2].partition(f"<!-- {NOTE} -->")[0].strip()
    return [written] if written else []


def _command(config: Mapping[str, object], folder: pathlib.Path) -> str:
    """The command of a config, with paths that hold anywhere."""
    stand = {
        "data_dir": "DIR",
        "table": pathlib.PurePath(str(config.get("table", ""))).name,
        "output": f"results/{folder.name}",
    }
    flags = ["python -m launch.reproduce", f"--experiment={config['experiment']}"]
    for field in dataclasses.fields(reproduce.Config):
        value = config.get(field.name)
        if field.name == "experiment" or value in (None, [], "", False) or value == field.default:
            continue
        text = ",".join(value) if isinstance(value, list) else str(value)
        flags.append(f"--{field.name}" if value is True else f"--{field.name}={stand.get(field.name, text)}")
    lines = [""]
    for flag in flags:
        if lines[-1] and len(lines[-1]) + len(flag) > 100:
            lines.append("   ")
        lines[-1] += f" {flag}" if lines[-1] else flag
    return " \\\n".join(lines)


def _rows(rows: Sequence[Mapping[str, str]]) -> str:
    """Ours beside the paper's; what all rows have in common is left out."""
    known = ("dataset", "init", "metric", "method", "measure", "connections", "threshold", "n")
    names = [name for name in known if name in rows[0]]
    labels = [name for name in names if len({row[name] for row in rows}) > 1] or names[-2:-1]
    common = [f"{name} {_label(rows[0][name])}" for name in names if name not in labels and rows[0][name]]
    printed = {"ours": _bracketed} | ({"paper": _theirs} if any(row["paper"] for row in rows) else {})
    cells = [[*(_label(row[name]) for name in labels), *(write(row) for write in printed.values())] for row in rows]
    made = table((*labels, *printed), cells)
    return f"{made}\n\nOf all rows: {', '.join(common)}." if common else made


def _label(text: str) -> str:
    try:
        return _number(text)
    except ValueError:
        return text


def _bracketed(row: Mapping[str, str]) -> str:
    """Our number, with its interval where it has one: all three with as many decimals as the largest of them has."""
    values = [float(row[name] or "nan") for name in ("ours", "low", "high")]
    if not all(map(math.isfinite, values)):
        return _number(row["ours"])
    decimals = 3 if max(map(abs, values)) < 10 else 2
    ours, low, high = (f"{value:.{decimals}f}" for value in values)
    return f"{ours} [{low}, {high}]"


def _theirs(row: Mapping[str, str]) -> str:
    """The paper's number, with one deviation to either side where it prints one."""
    if not row.get("paper_std"):
        return _number(row["paper"])
    mean, deviation = float(row["paper"]), float(row["paper_std"])
    return _bracketed({"ours": row["paper"], "low": str(mean - deviation), "high": str(mean + deviation)})


def _number(text: str) -> str:
    value = float(text) if text else math.nan
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    if value == int(value) and abs(value) >= 1:
        return f"{value:,.0f}"
    return f"{value:.3f}" if 0.0995 < abs(value) < 10 else f"{value:.4g}"


def results() -> list[pathlib.Path]:
    """Folders of results of `launch.reproduce`."""
    return sorted(path.parent for path in (ROOT / "results").glob("*/recipe.json"))


def pages() -> dict[pathlib.Path, str]:
    """Every file with a generated part, as it should be."""
    found = {folder / "README.md": result_page(folder) for folder in results()}
    for name, made in (
        ("proxies", proxy_table()),
        ("experiments", experiment_table()),
        ("training", recipe_table()),
    ):
        path = ROOT / "docs" / f"{name}.md"
        found[path] = _between(path.read_text(encoding="utf-8"), made)
    return found


def _between(text: str, made: str) -> str:
    """The text with what stands between the two comments replaced."""
    start, end = f"<!-- {NOTE} -->\n", "\n<!-- end -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"No {start.strip()} ... {end.strip()} in the document")
    return f"{before}{start}{made}{end}{after}"


def main() -> None:
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
