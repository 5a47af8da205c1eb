"""Finished runs and backends as rungs: what is computed, what it is called, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparison.comparisons import make_comparison
from qiskit.primitives import BaseEstimatorV2
from qiskit.quantum_info import SparsePauliOp
from torch import Tensor, nn

from qvit_qiskit import compare, evaluate
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.comparison.attribution import residuals
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.comparison.export import as_dict, write_comparison
from qvit_qiskit.comparison.run_record import read_recorded
from qvit_qiskit.comparison.sections.caveats import reading
from qvit_qiskit.comparison.sections.ladder import over_shots
from qvit_qiskit.comparison.sections.layers import attribution
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.devices.prices import prices
from qvit_qiskit.exceptions import DataError, JobError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.events import Completion, Order
from qvit_qiskit.hardware.journal import Journal, pack_arrays
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.models import ViT, ViTConfig, build_model
from qvit_qiskit.pages.table import Entry
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.runs import read_results, submit
from qvit_qiskit.runs.results import results_of
from qvit_qiskit.runs.run_folder import RunFolder, Source
from qvit_qiskit.statistics.intervals import Interval
from qvit_qiskit.training import save_checkpoint

IMAGES, SHOTS, DRAWS = 4, 300, 6


def make(seed: int = 0) -> ViT:
    return build_model(ViTConfig(patch_size=14, depth=2, width=4, heads=2), seed=seed)


class Own(ViT):
    """A model of one's own code."""


def make_own() -> ViT:
    model = Own(make().config)
    model.load_state_dict(make().state_dict())
    return model


def source(images: int = IMAGES, seed: int = 0) -> Source:
    split = stratified_subset(load("phantom").test, images, seed)
    told: dict[str, Any] = {"dataset": "phantom", "split": "test"}
    return Source.of(split, **told, subset=images, subset_seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module are."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    """A rehearsal from a checkpoint, one row at a time."""
    save_checkpoint(folder / "model.safetensors", make(), {"dataset": "phantom", "seed": 0})
    submit(
        make(), source(), "fake-boston", folder / "single", budget_seconds=200, shots=SHOTS,
        wait=True, checkpoint=folder / "model.safetensors",
    )  # fmt: skip
    return folder / "single"


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    """On six copies side by side, from a model of one's own code.

    The device waits so long between executions that a layer takes several jobs.
    """
    path = folder / "packed.toml"
    path.write_text(
        'kind = "fake"\ndevice = "fake_torino"\nshots = 200\nk = 6\nbuffer = 1\nrep_delay = 0.03\n'
    )
    submit(
        make_own(), source(), str(path), folder / "packed", budget_seconds=9999, max_loss=1e-3,
        anchor_rows=3, wait=True,
    )  # fmt: skip
    return folder / "packed"


@pytest.fixture(scope="module")
def compared(single: Path) -> Comparison:
    return compare(single, draws=DRAWS)


@pytest.fixture(scope="module")
def side_by_side(packed: Path) -> Comparison:
    return compare(packed, model=make(), draws=0)


def by_name(comparison: Comparison) -> dict[str, Rung]:
    return {rung.name: rung for rung in comparison.rungs}


def test_the_ladder_of_a_run(compared: Comparison, single: Path) -> None:
    rungs = by_name(compared)
    assert [(r.name, r.kind) for r in compared.rungs] == [
        ("exact", "exact"),
        ("shot noise", "shot noise"),
        ("device noise", "device noise"),
        ("rehearsal on fake_boston", "hardware"),
    ]
    split = stratified_subset(load("phantom").test, IMAGES, 0)
    for name, backend in (("exact", "aer-exact"), ("device noise", "aer-boston-exact")):
        expected = evaluate(make(), split, backend).logits
        np.testing.assert_allclose(rungs[name].logits, expected, atol=1e-4)
    results = read_results(single)
    top = rungs["rehearsal on fake_boston"]
    np.testing.assert_array_equal(top.logits, results.logits)
    assert top.shots == rungs["shot noise"].shots == SHOTS
    assert top.draws is not None
    assert top.draws.shape == (DRAWS, IMAGES, 2)
    assert np.abs(top.draws.mean(axis=0) - top.logits).max() < 4 * top.draws.std(axis=0).max()
    for rung in compared.rungs:
        assert (rung.draws is None) == (rung.shots is None)
        assert (rung.qpu_seconds is None) == (rung.kind != "hardware")
        assert [len(layer) for layer in rung.layers] == [6, 6]
    assert compared.class_names == ("benign-like", "malignant-like")
    np.testing.assert_array_equal(compared.labels, split.labels)
    assert compared.images.shape == (IMAGES, 1, 28, 28)


def test_errors_are_against_exact_outputs_at_the_same_angles(compared: Comparison) -> None:
    circuit = make().blocks[0].attention.projections.circuit  # type: ignore[union-attr]

    def at(backend: str, rows: np.ndarray) -> np.ndarray:
        pub = (circuit.canonical, [[o] for o in circuit.observables], rows)
        values: np.ndarray = registry.open(backend).estimator.run([pub]).result()[0].data.evs.T
        return values

    for rung in compared.rungs:
        assert rung.deltas is not None
        for layer, deltas in zip(rung.layers, rung.deltas, strict=True):
            for out, delta in zip(layer, deltas, strict=True):
                exact = at("aer-exact", out.parameters)
                np.testing.assert_allclose(out.values - delta, exact, atol=1e-9)
    top = compared.rungs[-1]
    assert top.beyond is not None
    for out, beyond in zip(top.layers[1], top.beyond[1], strict=True):
        noisy = at("aer-boston-exact", out.parameters)
        np.testing.assert_allclose(out.values - beyond, noisy, atol=1e-6)


def test_what_is_told_of_a_run(compared: Comparison) -> None:
    told = json.dumps(compared.facts)
    assert "rehearsal" in compared.title
    assert "hardware" not in compared.title + told
    parts = ["phantom (synthetic), test split", f"{IMAGES} images", "seed 0", "2 jobs"]
    for part in [*parts, f"{SHOTS} shots a row", "qiskit-aer", "a rehearsal costs nothing"]:
        assert part in told
    assert str(Path.cwd()) not in told
    assert "/" not in told.replace("qvit-qiskit", "")
    top = compared.rungs[-1]
    assert top.cost_basis == "estimated: a rehearsal costs nothing"
    assert top.qpu_seconds is not None
    assert top.qpu_seconds > 4  # two jobs of at least two seconds
    assert top.dollars == pytest.approx(top.qpu_seconds * prices()["per_second"]["pay-as-you-go"])


def test_attention_is_that_of_the_model(compared: Comparison) -> None:
    model = make()
    seen: list[Tensor] = []

    def note(_: Any, __: Any, found: tuple[Tensor, Tensor, Tensor]) -> None:
        q, k, _v = found
        seen.append((q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5).softmax(dim=-1))

    for block in model.blocks:
        block.attention.projections.register_forward_hook(note)  # type: ignore[union-attr]
    model(torch.from_numpy(compared.images))
    expected = torch.stack(seen, dim=1)[list(compared.shown)]  # (shown, layers, heads, N, N)
    np.testing.assert_allclose(compared.attention["exact"], expected.detach(), atol=1e-5)
    assert list(compared.attention) == [rung.name for rung in compared.rungs]
    for weights in compared.attention.values():
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0)
    assert sorted(compared.shown) == sorted(set(compared.shown))
    probabilities = [torch.from_numpy(r.logits).softmax(dim=1) for r in compared.rungs]
    moved = (probabilities[-1] - probabilities[0]).abs().sum(dim=1)
    assert compared.shown[0] == int(moved.argmax())
    assert compared.shown[-1] == int(moved.argmin())


def test_the_same_numbers_every_time(single: Path, compared: Comparison, tmp_path: Path) -> None:
    """Also from a copy of the folder, elsewhere, under another name."""
    shutil.copytree(single, tmp_path / "elsewhere")
    again = compare(tmp_path / "elsewhere", draws=DRAWS)
    assert json.dumps(as_dict(again)) == json.dumps(as_dict(compared))
    for first, second in zip(again.rungs, compared.rungs, strict=True):
        np.testing.assert_array_equal(first.draws, second.draws)  # type: ignore[arg-type]


def test_several_runs_of_one_model(single: Path, packed: Path, tmp_path: Path) -> None:
    again = begun_otherwise(single, tmp_path / "again")
    found = compare(single, packed, again, model=make(), draws=0)
    names = [rung.name for rung in found.rungs]
    assert names == [
        "exact",
        "300 shots",
        "200 shots",
        "device noise of fake_boston",
        "device noise of fake_torino",
        "rehearsal on fake_boston",
        "rehearsal on fake_torino",
        "rehearsal on fake_boston (2)",
        "rehearsal on fake_torino, corrected",
    ]
    *names, _ = names
    assert list(found.attributions) == names[-3:]
    assert found.attribution is found.attributions["rehearsal on fake_boston"]
    assert all(rung.draws is None for rung in found.rungs)
    assert found.anchors_by_rung[names[-3]] == ()
    assert len(found.anchors_by_rung[names[-2]]) == 2
    drift = found.drift()
    assert set(drift[drift["from"] == "repeated rows"]["rung"]) == {names[-2]}
    told = [found.facts[name] for name in names[-3:]]
    for name in ("rehearsal on fake_boston", "rehearsal on fake_boston (2)"):
        assert "repeated no rows" in found.facts[f"{name}, corrected"]
    assert len({text.split(",")[0] for text in told}) == 3  # which run is which
    assert all(text.startswith("run ") for text in told)


def test_runs_on_other_qubits_of_one_device(small: Path, folder: Path) -> None:
    """Each has its own noise, and runs go before backends of the same name."""
    path = folder / "two.toml"
    path.write_text('kind = "fake"\ndevice = "fake_torino"\nshots = 64\nk = 2\nbuffer = 1\n')
    submit(make_own(), source(2), str(path), folder / "two", budget_seconds=99, max_loss=1.0,
           wait=True)  # fmt: skip
    found = compare(small, folder / "two", model=make(), backends=["fake-torino"], draws=0)
    names = [rung.name for rung in found.rungs]
    assert names == [
        "exact",
        "shot noise",
        "device noise of rehearsal on fake_torino",
        "device noise of rehearsal on fake_torino (2)",
        "rehearsal on fake_torino (3)",
        "rehearsal on fake_torino",
        "rehearsal on fake_torino (2)",
    ]
    one, two = found.rungs[2:4]
    assert np.abs(one.logits - two.logits).max() > 1e-6
    listed = "fake_torino (3), rehearsal on fake_torino and rehearsal on fake_torino (2)"
    assert found.title.endswith(f": rehearsal on {listed} against the exact rung")
    chosen = found.maps.rung
    assert chosen is not None
    assert chosen.name == "rehearsal on fake_torino"
    assert [rung.resilience_level for rung in found.rungs[4:]] == [0, 1, 0]
    assert "resilience level 0" in found.rungs[4].backend
    (about,) = [t for t in reading(found).text if "without error mitigation" in t]
    assert "rehearsal on fake_torino (level 1)" in about
    assert "(level 0)" not in about


def test_a_run_given_twice(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "copy")
    for other in (small, small / ".." / "small", tmp_path / "copy"):
        with pytest.raises(JobError, match="hold the same one"):
            compare(small, other, model=make())


def test_redraws_that_change_nothing() -> None:
    rung = by_name(make_comparison(n=24, layers=1, draws=6))["shot noise"]
    still = Interval(0.9, 0.9, 0.9, 0.95, "redraws", ("shots",))
    assert over_shots(still, rung) == Entry("", "no redraw of 6 changed it")
    assert over_shots(replace(still, low=0.8), rung) == Entry("", "[0.800, 0.900]")
    assert over_shots(None, rung) == Entry("–")


def test_one_quantum_layer_has_no_section_of_shares() -> None:
    sections = [attribution(make_comparison(n=24, layers=layers, draws=6)) for layers in (1, 2)]
    assert sections[0] is None
    assert sections[1] is not None


def test_where_and_when_rows_ran(packed: Path) -> None:
    run = read_recorded(packed)
    for where, layer in zip(run.executions, run.results.layers, strict=True):
        assert where.copies is not None
        assert where.qubits is not None
        assert where.jobs is not None
        assert len(where.times) > 1
        used: dict[int, set[tuple[int, ...]]] = {}
        for g, group in enumerate(where.rows.groups):
            assert where.qubits[g].shape == (len(group.rows), 2)
            for copy, qubits in zip(where.copies[g], where.qubits[g], strict=True):
                used.setdefault(int(copy), set()).add(tuple(qubits))
        assert len(used) == 6
        assert all(len(places) == 1 for places in used.values())  # a copy stays where it is
        flat = [q for places in used.values() for place in places for q in place]
        assert len(set(flat)) == 12
        assert min(flat) >= 0
        for (g, index), out in zip(where.rows.pubs, layer, strict=True):
            np.testing.assert_array_equal(where.copies[g][index], out.copies)
            np.testing.assert_array_equal(where.rows.groups[g].rows[index], out.parameters)


def test_several_jobs_with_repeated_rows(side_by_side: Comparison) -> None:
    """A device that does not drift."""
    found = side_by_side
    executions = found.rungs[-2].executions
    assert executions is not None
    for where, anchors in zip(executions, found.anchors, strict=True):
        jobs = len(where.times)
        assert jobs > 1
        assert list(where.times) == sorted(where.times)
        assert where.jobs is not None
        assert set(where.jobs[0]) == set(range(jobs))
        assert anchors.values.shape == (jobs, 3, 2)
        assert anchors.times == where.times
        assert np.abs(anchors.values - anchors.exact).max() < 0.15
    drift = found.drift()
    assert list(drift["from"].unique()) == ["different rows", "repeated rows"]
    tests = found.tests()
    tests = tests[tests["hypothesis"].str.startswith("the same bias in all jobs")]
    tests = tests[tests["rung"] == found.rungs[-2].name]
    assert len(tests) == 4
    assert (tests["p"] > 1e-4).all()


def test_each_copy_is_compared_with_its_own_errors(side_by_side: Comparison) -> None:
    """What the snapshot's errors leave is shot noise, of the size that is said."""
    top = side_by_side.rungs[-2]

    def over_shots(errors: list[list[np.ndarray]] | None) -> float:
        assert errors is not None
        pairs = [
            (error**2, np.einsum("rkk->rk", out.covariances))
            for layer, found in zip(top.layers, errors, strict=True)
            for out, error in zip(layer, found, strict=True)
        ]
        squares, variances = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return float(squares.mean() / variances.mean())

    assert over_shots(top.beyond) == pytest.approx(1.0, abs=0.25)  # 384 values
    assert over_shots(top.deltas) > over_shots(top.beyond) + 0.1


def test_models_on_backends() -> None:
    backends = ["aer-exact", "aer-shots", "aer-boston-exact", "fake-boston"]
    found = compare(model=make(), data=source(), backends=backends, draws=3)
    assert [(r.name, r.kind) for r in found.rungs] == [
        ("exact", "exact"),  # once
        ("aer-shots", "shot noise"),
        ("aer-boston-exact", "device noise"),
        ("rehearsal on fake_boston", "hardware"),
    ]
    assert found.attribution is None
    top = found.rungs[-1]
    assert top.qpu_seconds is not None
    assert top.cost_basis == "estimated: a rehearsal costs nothing"
    split = stratified_subset(load("phantom").test, IMAGES, 0)
    quiet = compare(model=make(), data=split, backends=["aer-shots", "aer-shots"], draws=0)
    assert [rung.name for rung in quiet.rungs] == ["exact", "aer-shots", "aer-shots (2)"]
    assert quiet.class_names == ("class 0", "class 1")
    route = registry.open("aer-boston-exact")
    (_, noisy) = compare(model=make(), data=split, backends=[route]).rungs
    np.testing.assert_allclose(noisy.logits, evaluate(make(), split, route).logits, atol=1e-5)


def test_what_cannot_be_compared(single: Path, packed: Path) -> None:
    with pytest.raises(DataError, match="Expected folders of finished runs, or a model and data"):
        compare()
    with pytest.raises(DataError, match="hold their own images"):
        compare(single, data=source())
    with pytest.raises(DataError, match="at least two images"):
        compare(model=make(), data=source(1))
    with pytest.raises(DataError, match="at least two, but got 1"):
        compare(single, draws=1)
    with pytest.raises(RouteError, match="costs QPU time"):
        compare(single, backends=["ibm-boston"])
    with pytest.raises(JobError, match="model of your own code"):
        compare(packed)
    with pytest.raises(JobError, match="weights are not those"):
        compare(packed, model=make(1))
    linear = build_model(ViTConfig(projection="linear"), seed=0)
    with pytest.raises(JobError, match="no quantum layer"):
        compare(model=linear, data=source(2), backends=["aer-shots"])


@pytest.fixture(scope="module")
def small(folder: Path) -> Path:
    """Two images with few shots and mitigated readout, from a model of one's own code."""
    path = folder / "small.toml"
    path.write_text('kind = "fake"\ndevice = "fake_torino"\nshots = 64\nresilience_level = 1\n')
    submit(make_own(), source(2), str(path), folder / "small", budget_seconds=99, wait=True)
    return folder / "small"


def test_mitigated_rows_share_their_calibration(small: Path) -> None:
    run = read_recorded(small)
    for where, layer in zip(run.executions, run.results.layers, strict=True):
        assert where.calibrated is not None
        whole = [own.copy() for own in where.calibrated.own]
        for one in where.calibrated.shared:
            whole[one.group][one.rows] += np.einsum(
                "rtk,tu,rul->rkl", one.pull, one.spread, one.pull
            )
        for (g, index), out in zip(where.rows.pubs, layer, strict=True):
            np.testing.assert_allclose(whole[g][index], out.covariances, atol=1e-12)
    top = compare(small, model=make(), draws=3).rungs[-1]
    assert top.beyond is None
    assert top.draws is not None
    assert top.draws.std(axis=0).min() > 0


class Tailored(nn.Module):
    """A quantum layer whose outputs are not the Z of one qubit each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        plain = build_circuit("ry-chain", 2, 1)
        observables = [SparsePauliOp("IZ"), SparsePauliOp(["ZZ", "XI"], [0.5, 0.5])]
        self.layer = QuantumLinear(replace(plain, observables=tuple(observables)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1)[:, :2])


def test_other_observables(tmp_path: Path) -> None:
    submit(
        Tailored(), source(3), "fake-torino", tmp_path / "run", budget_seconds=99, shots=64,
        anchor_rows=1, wait=True,
    )  # fmt: skip
    found = compare(tmp_path / "run", model=Tailored(), draws=3)
    top = found.rungs[-2]
    assert found.rungs[-1].name == f"{top.name}, corrected"
    assert top.executions is not None
    (qubits,) = top.executions[0].qubits or []
    assert (qubits[:, 0] >= 0).all()
    assert (qubits[:, 1] == -1).all()
    assert found.attention == {}
    assert found.shown == ()
    assert found.anchors[0].values.shape == (1, 1, 2)
    assert found.facts["model"] == "Tailored, 4 parameters"
    assert list(found.bias()["by"].unique()) == ["output", "qubit"]
    assert len(found.drift()) == 1


def test_a_device_that_reports_nothing(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(stages: Sequence[StoredStage]) -> BaseEstimatorV2:
        raise RouteError("The device reported nothing.")

    monkeypatch.setattr("qvit_qiskit.comparison.assembly.noise_of", silent)
    found = compare(single, draws=0)
    assert [rung.kind for rung in found.rungs] == ["exact", "shot noise", "hardware"]
    assert found.facts["device noise"] == "left out: The device reported nothing."
    assert found.rungs[-1].beyond is None


def test_a_folder_that_cannot_be_written(
    compared: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qvit_qiskit.comparison.page.page", lambda comparison: comparison.title)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Cannot write .*Name another folder"):
        write_comparison(compared, tmp_path / "file" / "below")


def begun_otherwise(run: Path, copy: Path, **facts: Any) -> Path:
    """The same run, but as if it had been begun with other facts or arrays."""
    shutil.copytree(run, copy)
    (copy / "journal.jsonl").unlink()
    shutil.move(copy, copy.with_suffix(".files"))
    journal = Journal.create(copy)
    shutil.copytree(copy.with_suffix(".files"), copy, dirs_exist_ok=True)
    for event in Journal.open(run).events[1:]:
        if isinstance(event, Order):
            if "arrays" in facts:
                facts["images"] = journal.store("images.npz", pack_arrays(facts.pop("arrays")))
            event = replace(event, **facts)
        journal.append(event)
    return copy


def test_a_page_that_cannot_be_drawn(
    compared: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(comparison: Comparison) -> str:
        raise ValueError("Failed to process string with tex\nbecause latex could not be found")

    monkeypatch.setattr("qvit_qiskit.comparison.page.page", broken)
    with pytest.raises(DataError, match=r"Cannot draw the report.*latex could not.*are whole"):
        write_comparison(compared, tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [
        "attribution.csv",
        "bias.csv",
        "comparison.json",
        "predictions.csv",
        "table.csv",
        "verdicts.csv",
    ]


def test_mixtures_are_refused(small: Path, tmp_path: Path) -> None:
    images, labels = source(2).images.numpy(), source(2).labels
    same = begun_otherwise(small, tmp_path / "same")
    assert len(compare(small, same, model=make(), draws=0).rungs) == 5
    other = begun_otherwise(small, tmp_path / "weights", model="0" * 64)
    with pytest.raises(JobError, match="runs of one model"):
        compare(small, other, model=make())
    arrays = {"images": images + 0.01, "labels": labels}
    other = begun_otherwise(small, tmp_path / "images", arrays=arrays)
    with pytest.raises(JobError, match="the same images and labels"):
        compare(small, other, model=make())
    arrays = {"images": images, "labels": labels[::-1].copy()}
    other = begun_otherwise(small, tmp_path / "labels", arrays=arrays)
    with pytest.raises(JobError, match="the same images and labels"):
        compare(small, other, model=make())
    other = begun_otherwise(small, tmp_path / "set", data={"dataset": "breastmnist"})
    with pytest.raises(JobError, match=r"of one data set.*phantom.*breastmnist"):
        compare(small, other, model=make())


def test_random_data_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IBM's mock devices answer with random bits."""

    def mocked(run: RunFolder) -> Any:
        return replace(results_of(run), device="mock_backend")

    monkeypatch.setattr("qvit_qiskit.comparison.run_record.results_of", mocked)
    with pytest.raises(JobError, match="mock_backend, which returns random data"):
        compare(small)


def test_unfinished_and_forged_runs_are_refused(small: Path, tmp_path: Path) -> None:
    half, forged = tmp_path / "half", tmp_path / "forged"
    for path in (half, forged):
        shutil.copytree(small, path)
        lines = (path / "journal.jsonl").read_text().splitlines(keepends=True)
        (path / "journal.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(JobError, match="is not finished"):
        compare(half, model=make())
    results = read_results(small)
    made_up = pack_arrays({"logits": results.logits + 0.1, "labels": results.labels})
    journal = Journal.open(forged)
    journal.append(Completion(predictions=journal.store("predictions.npz", made_up)))
    with pytest.raises(JobError, match="do not give the recorded logits"):
        compare(forged, model=make())


def test_changed_code_is_noticed(small: Path) -> None:
    class Changed(ViT):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * 1.1)

    changed = Changed(make().config)
    changed.load_state_dict(make().state_dict())
    with pytest.raises(JobError, match="do not give the recorded logits"):
        compare(small, model=changed)

    class Fewer(ViT):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images[:1]).expand(len(images), -1)

    fewer = Fewer(make().config)
    fewer.load_state_dict(make().state_dict())
    with pytest.raises(JobError, match="not those of the recorded run"):
        compare(small, model=fewer)


def test_the_replay_is_the_recording(single: Path) -> None:
    """All errors together give the recorded logits, whatever the batches."""
    run = read_recorded(single)
    exact = registry.open("aer-exact").estimator
    deltas = residuals(exact, [e.rows for e in run.executions], run.results.layers)
    for batch in (1, 3, 256):
        found = run_pass(make(), run.source.images, exact, deltas, batch)
        np.testing.assert_allclose(found.logits, run.results.logits, atol=2e-6)
