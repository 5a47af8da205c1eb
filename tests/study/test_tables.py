"""Tables against numbers worked out by hand from made-up folders, and the same bytes every time."""

import csv
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score
from study.studies import made_up, random_answers, write_spec

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError, JobError
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.results import frames as tables
from qvit_qiskit.study.results import result_tables
from qvit_qiskit.study.results.contrasts import contrasts
from qvit_qiskit.study.results.findings import MEAN, read_findings
from qvit_qiskit.study.results.output import write_tables
from qvit_qiskit.study.results.peers import peers

SETS = ["breastmnist", "retinamnist"]
GRID = {
    "datasets": SETS, "heads": [1, 2], "qubits": [2, 4], "seeds": [0, 1, 2], "split": "test",
    "regimes": {"scratch": {}, "soft": {"teacher": "t"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The spec and folder of a whole grid, all cells finished."""
    place = tmp_path_factory.mktemp("grid")
    spec = write_spec(place / "grid.toml", **GRID)
    return spec, place / "s", made_up(spec, place / "s", random_answers())


def by_hand(plan, model, heads, qubits, regime, dataset):
    """AUC and ACC of every seed, straight from the definition."""
    found = []
    for cell in plan.cells:
        axes = (cell.model, cell.heads, cell.qubits, cell.regime, cell.dataset)
        if axes == (model, heads, qubits, regime, dataset):
            labels, logits = random_answers()(cell)
            chances = metrics.softmax(logits)
            if chances.shape[1] == 2:
                auc = roc_auc_score(labels, chances[:, 1])
            else:
                auc = roc_auc_score(labels, chances, multi_class="ovr")
            found.append((auc, accuracy_score(labels, chances.argmax(axis=1))))
    return np.array(found)


def test_scores(study):
    _, folder, plan = study
    frame = tables.score_frame(read_findings(folder))
    assert len(frame) == 2 * 2 * 2 * 2 * 3
    for line in frame.to_dict("records"):
        axes = [line[name] for name in ("model", "heads", "qubits", "regime")]
        names = SETS if line["set"] == MEAN else [line["set"]]
        found = np.mean([by_hand(plan, *axes, name) for name in names], axis=0)
        for metric, values in zip(("AUC", "ACC"), found.T, strict=True):
            assert line[metric] == pytest.approx(values.mean(), abs=1e-12)
            assert line[f"{metric} sd"] == pytest.approx(values.std(ddof=1), abs=1e-12)
            assert line[f"{metric} low"] < line[metric] < line[f"{metric} high"]
        assert line["seeds"] == 3
        assert line["width"] == line["heads"] * line["qubits"]
        assert line["images"] == 40 * len(names)


def test_differences(study):
    _, folder, plan = study
    frame = tables.effect_frame(read_findings(folder))
    lines = {
        (line["kind"], line["difference of"], line["at"], line["set"], line["metric"]): line
        for line in frame.to_dict("records")
    }
    assert len(lines) == len(frame)

    def auc(model, heads, qubits, regime, dataset):
        return by_hand(plan, model, heads, qubits, regime, dataset)[:, 0]

    def check(key, by_seed):
        line = lines[(*key, "AUC")]
        assert line["difference"] == pytest.approx(by_seed.mean(), abs=1e-12)
        test = stats.ttest_1samp(by_seed, 0)
        assert line["p over seeds"] == pytest.approx(test.pvalue, rel=1e-6)
        assert line["low over seeds"] == pytest.approx(test.confidence_interval(0.95).low)
        return line

    one, two = auc("qvit", 2, 4, "soft", "breastmnist"), auc("vit", 2, 4, "soft", "breastmnist")
    line = check(("model", "qvit − vit", "2 heads, 4 qubits, soft", "breastmnist"), one - two)
    assert line["relative"] == pytest.approx((one - two).mean() / two.mean())
    assert line["p over seeds and images"] > line["p over images"]
    check(
        ("heads", "2 − 1 heads", "vit, 2 qubits, scratch", "retinamnist"),
        auc("vit", 2, 2, "scratch", "retinamnist") - auc("vit", 1, 2, "scratch", "retinamnist"),
    )
    check(
        ("regime", "soft − scratch", "qvit, 1 head, 2 qubits", MEAN),
        np.mean([auc("qvit", 1, 2, "soft", s) - auc("qvit", 1, 2, "scratch", s) for s in SETS], 0),
    )
    gains = {q: auc("qvit", 1, q, "soft", SETS[0]) - auc("qvit", 1, q, "scratch", SETS[0])
             for q in (2, 4)}  # fmt: skip
    line = check(
        ("regime x qubits", "(soft − scratch) × (4 − 2 qubits)", "qvit, 1 head", SETS[0]),
        gains[4] - gains[2],
    )
    assert math.isnan(line["relative"])


def test_every_comparison_is_made_once(study):
    found = read_findings(study[1])
    counts = {}
    for contrast in contrasts(found):
        counts[contrast.kind] = counts.get(contrast.kind, 0) + 1
        assert sum(factor for factor, _ in contrast.terms) == 0
        assert len({group for _, group in contrast.terms}) == 2 ** len(contrast.kind)
    assert counts == {
        ("model",): 8, ("heads",): 8, ("size",): 8, ("regime",): 8,
        ("heads", "model"): 4, ("regime", "size"): 4, ("regime", "model"): 4,
    }  # fmt: skip


def test_models_are_compared_as_the_spec_says(tmp_path):
    models = {"a": {}, "b": {"circuit_layers": 1}, "c": {"matched": True}}
    spec = write_spec(tmp_path / "a.toml", models=models, compare=[["a", "c"], ["b", "a"]])
    made_up(spec, tmp_path / "s", random_answers())
    told = [c.what for c in contrasts(read_findings(tmp_path / "s")) if c.kind == ("model",)]
    assert told == ["a − c", "b − a"]


def test_widths_are_held_while_heads_change(tmp_path):
    spec = write_spec(tmp_path / "a.toml", qubits=None, widths=[4, 8], heads=[1, 2])
    made_up(spec, tmp_path / "s", random_answers())
    found = read_findings(tmp_path / "s")
    told = {(c.what, c.at) for c in contrasts(found) if c.kind == ("heads",)}
    assert told == {
        ("2 − 1 heads", f"{model}, width {width}") for model in ("qvit", "vit") for width in (4, 8)
    }
    frame = tables.score_frame(found)
    assert set(zip(frame["heads"], frame["width"], frame["qubits"], strict=True)) == {
        (1, 4, 4), (1, 8, 8), (2, 4, 2), (2, 8, 4),
    }  # fmt: skip


def test_of_three_sizes_the_largest_is_told_against_the_smallest(tmp_path):
    spec = write_spec(tmp_path / "a.toml", qubits=[3, 2, 6], models={"vit": {"matched": True}})
    made_up(spec, tmp_path / "s", random_answers())
    found = read_findings(tmp_path / "s")
    told = [c.what for c in contrasts(found) if c.kind == ("size",)]
    assert told == ["3 − 2 qubits", "6 − 3 qubits", "6 − 2 qubits"]
    write_tables(spec, tmp_path / "s", tmp_path / "out")
    page = (tmp_path / "out" / "study.md").read_text()
    assert "Against the next smaller, and the largest against the smallest. 6 differences" in page


def test_two_heads_beside_three_sizes_have_one_difference(tmp_path):
    spec = write_spec(
        tmp_path / "a.toml", qubits=[2, 3, 6], heads=[1, 2], models={"vit": {"matched": True}}
    )
    made_up(spec, tmp_path / "s", random_answers())
    write_tables(spec, tmp_path / "s", tmp_path / "out")
    page = (tmp_path / "out" / "study.md").read_text()
    assert "The larger number of heads against the next smaller one. " in page
    assert "Against the next smaller, and the largest against the smallest. " in page


def test_profiles_stand_apart_and_are_not_compared(tmp_path):
    spec = write_spec(tmp_path / "a.toml", profiles=["aer-exact", "aer-shots"])
    made_up(spec, tmp_path / "s", random_answers())
    found = read_findings(tmp_path / "s")
    frame = tables.score_frame(found)
    assert list(frame["profile"]) == ["aer-exact", "aer-shots"] * 2
    assert {c.at for c in contrasts(found)} == {
        "1 head, 2 qubits, aer-exact", "1 head, 2 qubits, aer-shots",
    }  # fmt: skip
    assert set(tables.time_frame(found)["trainings"]) == {2}
    validated = result_tables.validation_table(found, tables.cell_frame(found))
    assert len(validated.rows) == 2  # a training validates once, wherever it is evaluated


def test_folds_are_averaged_within_a_set(tmp_path):
    spec = write_spec(tmp_path / "a.toml", folds={"phantom": 2}, datasets=["phantom", SETS[0]])
    plan = made_up(spec, tmp_path / "s", random_answers())
    frame = tables.score_frame(read_findings(tmp_path / "s"))
    line = frame[(frame["set"] == "phantom") & (frame["model"] == "vit")].iloc[0]
    assert (line["seeds"], line["images"]) == (2, 80)
    found = by_hand(plan, "vit", 1, 2, "scratch", "phantom")[:, 0]  # seeds and folds
    assert line["AUC"] == pytest.approx(found.mean())
    mean = frame[(frame["set"] == MEAN) & (frame["model"] == "vit")].iloc[0]
    other = by_hand(plan, "vit", 1, 2, "scratch", SETS[0])[:, 0]
    assert mean["AUC"] == pytest.approx((found.mean() + other.mean()) / 2)


def test_unfinished_cells_are_told_and_their_seeds_left_out_of_pairs(tmp_path):
    spec = write_spec(tmp_path / "a.toml", seeds=[0, 1, 2])
    label = "phantom vit 1x2 scratch seed 1"
    plan = made_up(spec, tmp_path / "s", random_answers(), unfinished=[label])
    found = read_findings(tmp_path / "s")
    assert found.missing == (label,)
    scores = tables.score_frame(found)
    assert dict(zip(scores["model"], scores["seeds"], strict=True)) == {"qvit": 3, "vit": 2}
    (line,) = (
        tables.effect_frame(found).query("kind == 'model' and metric == 'ACC'").to_dict("records")
    )
    assert line["seeds"] == 2
    accs = [by_hand(plan, m, 1, 2, "scratch", "phantom")[:, 1] for m in ("qvit", "vit")]
    expected = accs[0][[0, 2]] - accs[1][[0, 2]]
    assert line["difference"] == pytest.approx(expected.mean())
    write_tables(spec, tmp_path / "s", tmp_path / "out")
    assert f"Not finished: 1 of 6 trainings, {label}." in (tmp_path / "out/study.md").read_text()


def test_costs_and_times(study):
    found = read_findings(study[1])
    costs = tables.cost_frame(found)
    assert len(costs) == 2 * 2 * 2 * 2
    assert set(costs["regime"]) == {"scratch, soft"}
    assert list(costs["set"]) == [name for name in SETS for _ in range(8)]
    assert list(costs["model"][:8]) == ["qvit"] * 4 + ["vit"] * 4
    assert set(costs["executions at 1024 shots"]) == {48 * 1024}
    times = tables.time_frame(found)
    assert set(times["trainings"]) == {3}
    assert set(times["seconds, mean"]) == {11.0}
    assert set(times["seconds, longest"]) == {12.0}


# --- files -----------------------------------------------------------------------------------


COMMAND = ["qvit", "study", "grid.toml", "--tables", "a place"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A test study of one set with everything that a report can hold, and its files."""
    place = tmp_path_factory.mktemp("written")
    spec = write_spec(place / "grid.toml", **GRID | {"datasets": SETS[:1]})
    plan = made_up(spec, place / "s", random_answers())
    for cell in plan.cells:
        told = {"label": cell.label, "profile": "aer-exact", "git": "c0ffee", "cell": cell.key}
        StudyFolder(place / "s").note_test(**told, configuration=plan.configuration)
    teacher = {"label": "teacher t on breastmnist", "profile": None, "git": None, "cell": None}
    StudyFolder(place / "s").note_test(**teacher, configuration=plan.configuration)
    scores = {"teacher": "t", "digest": "t", "set": SETS[0], "split": "test", "images": 40}
    StudyFolder(place / "s").keep_teacher("t", SETS[0], "test", scores | {"AUC": 0.9, "ACC": 0.8})
    return spec, place, plan, write_tables(spec, place / "s", place / "one", COMMAND)


def test_the_same_folder_gives_the_same_bytes(written):
    spec, place, _, files = written
    again = write_tables(spec, place / "s", place / "two", COMMAND)
    assert {path.suffix for path in files} == {".md", ".csv", ".html", ".svg"}
    for one, two in zip(files, again, strict=True):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes()
        assert str(place) not in one.read_text()


class Page(HTMLParser):
    """What a page loads, and whether its tags close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.loads += [v for k, v in attributes if k in ("src", "href") and v[:1] != "#"]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_markdown_html_and_csv_tell_the_same(written):
    _, place, plan, _ = written
    out = place / "one"
    markdown = (out / "study.md").read_text()
    assert "Made by `qvit study grid.toml --tables 'a place'`." in markdown
    page = (out / "study.html").read_text()
    assert Page(page).loads == ["data:,"]
    with (out / "scores.csv").open() as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        told = f"{float(line['AUC']):.3f} ± {float(line['AUC sd']):.3f}"
        assert told in markdown
        assert told in page
    for picture in re.findall(r"\]\((.+?)\)", markdown):
        assert (out / picture).read_text().startswith("<?xml")
    titles = re.findall(r"^## (.+)", markdown, re.MULTILINE)
    assert titles == [
        "Scores", "Model against model", "More heads", "More qubits", "Distillation",
        "Teachers", "Beside published systems", "Costs", "Evaluations on test splits",
    ]  # fmt: skip
    assert all(f">{title}</h2>" in page for title in titles)
    assert markdown.count(plan.configuration[:12]) == 2 + len(plan.cells)
    assert "| breastmnist | t | test | 40 | 0.900 | 0.800 |" in markdown
    assert "| qvit, 1 head, 2 qubits, soft | 0.760 / 0.500 |" in markdown  # of validation
    assert "| teacher t on breastmnist | – | – |" in markdown
    assert "nan" not in markdown
    for row in re.findall(r"^\| .*$", markdown, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", row)) >= 3


def test_hostile_texts_are_escaped(tmp_path):
    spec = write_spec(tmp_path / "a.toml", description="<script>alert(1)</script> a|b\nc")
    made_up(spec, tmp_path / "s", random_answers())
    write_tables(spec, tmp_path / "s", tmp_path / "out")
    page, markdown = ((tmp_path / "out" / f"study.{k}").read_text() for k in ("html", "md"))
    assert "<script>alert" not in page
    assert "a\\|b c |" in markdown


def test_a_validation_study_is_not_set_beside_test_scores(tmp_path):
    spec = write_spec(tmp_path / "a.toml", datasets=["breastmnist"])
    made_up(spec, tmp_path / "s", random_answers())
    write_tables(spec, tmp_path / "s", tmp_path / "out")
    markdown = (tmp_path / "out" / "study.md").read_text()
    assert "published" not in markdown
    assert "flatter all of them" in markdown
    assert "to choose among the models" not in markdown  # the scores themselves are for that
    last = write_spec(tmp_path / "b.toml", training={"select": "last"})
    made_up(last, tmp_path / "t", random_answers())
    write_tables(last, tmp_path / "t", tmp_path / "out")
    assert "flatter" not in (tmp_path / "out" / "study.md").read_text()


def test_folders_that_do_not_fit(study, tmp_path):
    spec, folder, _ = study
    other = write_spec(tmp_path / "other.toml")
    with pytest.raises(JobError, match="ran another spec than"):
        write_tables(other, folder, tmp_path / "out")
    with pytest.raises(JobError, match=r"study\.toml: No such file"):
        write_tables(spec, tmp_path, tmp_path / "out")
    with pytest.raises(JobError, match=r"none\.toml: No such file"):
        write_tables(tmp_path / "none.toml", folder, tmp_path / "out")
    labels = [cell.label for cell in made_up(other, tmp_path / "a", random_answers()).cells]
    made_up(other, tmp_path / "b", random_answers(), unfinished=labels)
    with pytest.raises(DataError, match=r"No cell of .* is finished"):
        write_tables(other, tmp_path / "b", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Cannot write .*file"):
        write_tables(other, tmp_path / "a", tmp_path / "file")
    logits = next((tmp_path / "a").rglob("*.npz"))
    logits.write_bytes(logits.read_bytes()[:50])
    with pytest.raises(JobError, match="Delete the cell's folder and run the study"):
        write_tables(other, tmp_path / "a", tmp_path / "out")


# --- published peers --------------------------------------------------------------------------


def test_peers_have_sources_and_scores_within_reason():
    found = peers(["breastmnist", "retinamnist", "pneumoniamnist"])
    assert len(found) == 13
    for peer in found:
        assert peer.source
        for scores in peer.scores.values():
            assert scores
            assert scores.keys() <= {"auc", "acc"}
            assert all(0.4 < value < 1 for value in scores.values())
    best = max(peer.scores["retinamnist"].get("acc", 0) for peer in peers(["retinamnist"]))
    assert best == 0.578
    assert peers(["phantom"]) == []
