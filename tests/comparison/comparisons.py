"""A comparison of a model that does not exist, with noise that is known exactly.

Labels, logits and the outputs of the quantum layers are drawn from simple models: the exact output
of a row is a product of cosines, shots are binomial, device noise contracts and shifts, and
hardware has shots besides, a shift for each copy on the chip and a drift from job to job.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qvit_qiskit.comparison.builder import build
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import (
    AnchorSeries,
    Attribution,
    Evidence,
    Executions,
    Rung,
)
from qvit_qiskit.comparison.findings.attention import most_moved
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.hardware.stages.stage import Group, Rows
from qvit_qiskit.hardware.values.outputs import Outputs

QUBITS, HEADS, TOKENS, COPIES, JOBS, SHOTS = 4, 2, 16, 6, 5, 1024
TERMS = [{"I" * (QUBITS - 1 - k) + "Z" + "I" * k: 1.0} for k in range(QUBITS)]
BREAST = ("malignant", "normal, benign")
RETINA = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
BACKENDS = {
    "exact": "aer-exact",
    "shot noise": f"{SHOTS:,} shots of a perfect device",
    "device noise": "reported errors of ibm_boston",
    "hardware": "ibm-open (ibm_boston), resilience level 1",
}
NAMES = {"hardware": "ibm_boston"}
RUNGS = ("exact", "shot noise", "device noise", "hardware")


def make_comparison(
    n: int = 156,
    class_names: tuple[str, ...] = BREAST,
    kinds: tuple[str, ...] = RUNGS,
    layers: int = 2,
    draws: int = 40,
    shown: int = 3,
    extras: bool = True,
    seed: int = 0,
) -> Comparison:
    """A comparison whose arrays have the shapes of a real one.

    Args:
        n: Images.
        class_names: Two or more.
        kinds: Of the rungs.
        layers: Quantum layers.
        draws: Redraws of each noisy rung's logits.
        shown: Images with attention maps.
        extras: With attribution and anchors, if there is a hardware rung.
        seed: The same arrays for the same seed.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(class_names), n, p=_shares(len(class_names)))
    labels[: len(class_names)] = range(len(class_names))
    exact = _logits(labels, len(class_names), rng)
    inputs = [rng.normal(0, 1, (3 * HEADS, n * TOKENS, QUBITS)) for _ in range(layers)]
    rungs = tuple(_rung(kind, exact, inputs, draws, rng) for kind in kinds)
    hardware = extras and "hardware" in kinds
    shares = _attribution(exact, rungs[-1].logits, layers, rng) if hardware else None
    evidence = Evidence(
        title=f"synthetic: {rungs[-1].name} against the exact rung",
        facts={
            "data": f"synthetic, test split, {n} images",
            "model": f"QViT, {layers} blocks of width 8, 2 heads of 4 qubits, ring with 2 layers, "
            "922 parameters",
            "weights": "SHA-256 3f9a1c5227e0b841",
            "training": "seed 0, epoch 31",
            "versions of the comparison": "qvit-qiskit 0.1.0, qiskit 2.6.0, qiskit-aer 0.18.0",
        },
        images=_images(labels, len(class_names), rng),
        labels=labels,
        class_names=class_names,
        rungs=rungs,
        attention=_attention(kinds, layers, shown, rng),
        shown=most_moved(rungs[0], rungs[-1], shown - 1) if shown else (),
        attribution=shares,
        attributions={rungs[-1].name: shares} if shares else {},
        anchors=tuple(_anchors(rng) for _ in range(layers)) if hardware else (),
        seed=seed,
    )
    return build(evidence)


def rebuilt(comparison: Comparison, **changes: Any) -> Comparison:
    """A comparison of other evidence, its numbers worked out anew."""
    return build(replace(comparison, **changes))


def _shares(classes: int) -> np.ndarray:
    """The balance of BreastMNIST for two classes, of RetinaMNIST for five."""
    known = {2: [0.27, 0.73], 5: [0.435, 0.115, 0.23, 0.17, 0.05]}
    shares = np.array(known.get(classes, np.ones(classes)))
    return np.asarray(shares / shares.sum())


def _logits(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    if classes == 2:
        score = 0.55 + 1.1 * (labels - 0.5) + rng.normal(0, 0.75, len(labels))
        return np.stack([-score / 2, score / 2], axis=1)
    distance = np.abs(np.arange(classes) - (labels + rng.normal(0, 1.1, len(labels)))[:, None])
    return np.asarray(-0.8 * distance + rng.normal(0, 0.3, (len(labels), classes)))


def outputs_of(parameters: np.ndarray) -> np.ndarray:
    """The exact outputs of the circuit that does not exist, shape (R, K)."""
    turned = np.cos(parameters[:, :QUBITS] + parameters[:, QUBITS:])
    return np.asarray(turned * np.roll(turned, 1, axis=1))


def _rung(
    kind: str, exact: np.ndarray, inputs: list[np.ndarray], draws: int, rng: np.random.Generator
) -> Rung:
    size = {"exact": 0.0, "shot noise": 0.12, "device noise": 0.2, "hardware": 0.32}[kind]
    shrink = {"exact": 1.0, "shot noise": 1.0, "device noise": 0.9, "hardware": 0.82}[kind]
    noise = rng.normal(0, size, exact.shape)
    logits = shrink * (exact + noise)
    shots = SHOTS if kind in ("shot noise", "hardware") else None
    layers = []
    for number, layer in enumerate(inputs):
        moved = layer + rng.normal(0, 0.4 * size * (number > 0), layer.shape)
        layers.append([_outputs(kind, rows, place, rng) for place, rows in enumerate(moved)])
    paid = kind == "hardware"
    deltas = [[out.values - outputs_of(out.parameters) for out in layer] for layer in layers]
    return Rung(
        name=NAMES.get(kind, kind),
        kind=kind,
        backend=BACKENDS[kind],
        logits=logits,
        layers=layers,
        draws=logits + rng.normal(0, 0.12, (draws, *logits.shape)) if shots else None,
        shots=shots,
        qpu_seconds=214.3 if paid else None,
        dollars=342.88 if paid else None,
        cost_basis="billed" if paid else "",
        deltas=deltas,
        beyond=[[0.5 * delta for delta in layer] for layer in deltas] if paid else None,
        executions=[_executions(layer, paid) for layer in layers] if kind != "exact" else None,
    )


def _outputs(kind: str, rows: np.ndarray, place: int, rng: np.random.Generator) -> Outputs:
    weights = np.linspace(-0.6, 0.8, QUBITS) + 0.3 * place
    parameters = np.concatenate([rows, np.tile(weights, (len(rows), 1))], axis=1)
    exact = outputs_of(parameters)
    copies = np.arange(len(rows)) % COPIES if kind == "hardware" else np.zeros(len(rows), int)
    spread = np.zeros((len(rows), QUBITS, QUBITS))
    if kind == "exact":
        return Outputs(parameters, exact, spread, copies)
    shrink = {"shot noise": 1.0, "device noise": 0.9, "hardware": 0.85}[kind]
    shift = {"shot noise": 0.0, "device noise": 0.01, "hardware": 0.02}[kind]
    mean = shrink * exact + shift * np.array([1.0, -0.5, 2.0, 0.3])
    if kind == "hardware":
        jobs = np.arange(len(rows)) * JOBS // len(rows)
        mean += np.linspace(-0.03, 0.03, COPIES)[copies][:, None] + 0.005 * jobs[:, None]
    if kind == "device noise":
        return Outputs(parameters, mean, spread, copies)
    values = 2 * rng.binomial(SHOTS, (1 + mean.clip(-1, 1)) / 2) / SHOTS - 1
    spread[:, range(QUBITS), range(QUBITS)] = (1 - values**2) / SHOTS
    return Outputs(parameters, values, spread, copies)


def _executions(layer: list[Outputs], hardware: bool) -> Executions:
    """Every row ran once, in one group: projections one after the other."""
    rows = np.concatenate([out.parameters for out in layer])
    edges = np.cumsum([0, *(len(out.parameters) for out in layer)])
    pubs = [(0, np.arange(a, b)) for a, b in itertools.pairwise(edges)]
    where = Rows([Group(QuantumCircuit(QUBITS), TERMS, rows)], pubs)
    if not hardware:
        return Executions(where)
    copies = np.concatenate([out.copies for out in layer])
    each = len(rows) // len(layer)
    jobs = np.tile(np.arange(each) * JOBS // each, len(layer))
    times = tuple(f"2026-03-01T1{job}:30:00+00:00" for job in range(JOBS))
    qubits = 10 * copies[:, None] + np.arange(QUBITS)
    return Executions(where, [qubits], [copies], [jobs], times)


def _attribution(
    exact: np.ndarray, final: np.ndarray, layers: int, rng: np.random.Generator
) -> Attribution:
    total = final - exact
    parts = np.array([0.7, 0.25, 0.1, 0.05][:layers])[:, None, None] * total
    return Attribution(exact, parts + rng.normal(0, 0.05, parts.shape), total)


def _anchors(rng: np.random.Generator, jobs: int = JOBS, rows: int = 8) -> AnchorSeries:
    exact = rng.uniform(-0.9, 0.9, (rows, QUBITS))
    drift = np.linspace(0, 0.05, jobs)[:, None, None] * np.array([1, -1, 0.2, 0])
    spread = np.sqrt((1 - exact**2) / SHOTS)
    values = 0.9 * exact + drift + rng.normal(0, 1, (jobs, *exact.shape)) * spread
    covariances = np.zeros((jobs, rows, QUBITS, QUBITS))
    covariances[..., range(QUBITS), range(QUBITS)] = spread**2
    return AnchorSeries(values.clip(-1, 1), covariances, exact)


def _attention(
    kinds: tuple[str, ...], layers: int, shown: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    scores = rng.normal(0, 0.5, (shown, layers, HEADS, TOKENS, TOKENS))
    scores += rng.normal(0, 0.8, (shown, layers, HEADS, 1, TOKENS))
    found = {}
    for kind in kinds:
        size = {"exact": 0.0, "shot noise": 0.1, "device noise": 0.15, "hardware": 0.3}[kind]
        powers = np.exp(scores + rng.normal(0, size, scores.shape))
        found[NAMES.get(kind, kind)] = powers / powers.sum(axis=-1, keepdims=True)
    return found


def _images(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Grey phantoms for two classes, coloured discs with spots for more; from −1 to 1."""
    if classes == 2:
        grey = phantom(0, (1, 1, len(labels))).test.images
        return np.asarray(grey[:, None] / 127.5 - 1, dtype=np.float32)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    disc = (x**2 + y**2 < 0.9)[None, None] * np.array([0.9, 0.45, 0.2])[:, None, None]
    images = np.repeat(disc, len(labels), axis=0)
    for image, label in zip(images, labels, strict=True):
        for _ in range(1 + 2 * label):
            cx, cy = rng.uniform(-0.6, 0.6, 2)
            image += 0.5 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.01)
    return np.asarray(images.clip(0, 1) * 2 - 1, dtype=np.float32)


def with_hostile_names(comparison: Comparison) -> Comparison:
    """The same with texts that would break a page or a figure that takes them as they are."""
    bad = '<script>alert("1")</script>'
    names = (f"{bad} & $x", "_hidden $\\frac{1$", *comparison.class_names[2:])
    return rebuilt(
        comparison,
        title=f"{bad} {{{{ 7 * 7 }}}}",
        facts={"<b>data</b>": "<img src=x onerror=alert(1)>", "link": "https://example.org/a.js"},
        class_names=names,
        rungs=tuple(replace(r, backend=f"{r.backend} {bad}") for r in comparison.rungs),
    )
