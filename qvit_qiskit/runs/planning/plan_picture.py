"""A picture of a plan: what options cost against what they are predicted to lose."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from qvit_qiskit.runs.planning.chosen_plan import Option, RunPlan

MEETS, MISSES = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette (https://jfly.uni-koeln.de/color/)."""


def draw_plan(plan: RunPlan) -> Figure:
    """Price against predicted loss, the mean and its 95 % bound, the choice marked.

    Args:
        plan: The plan.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    panel = figure.subplots()
    agreement = plan.request.tolerance is None
    for meets, color, marker in ((True, MEETS, "o"), (False, MISSES, "x")):
        mine = [option for option in plan.options if option.meets == meets]
        if not mine:
            continue
        prices = [option.seconds for option in mine]
        means, bounds = zip(*(_losses(option, agreement) for option in mine), strict=True)
        panel.vlines(prices, means, bounds, color=color, alpha=0.5, linewidth=1)
        label = "meets the request" if meets else "does not"
        panel.plot(prices, bounds, marker, color=color, label=f"{label} (95 % bound)")
        panel.plot(prices, means, "_", color=color, markersize=9)
    best = plan.choice
    _, bound = _losses(best, agreement)
    panel.plot([best.seconds], [bound], "o", color="none", markeredgecolor="0.1", markersize=13)
    panel.annotate(
        f"{best.both_shots} shots, k = {best.k}", (best.seconds, bound), xytext=(0, -18),
        textcoords="offset points", fontsize="small", ha="center",
    )  # fmt: skip
    panel.axhline(plan.request.most_lost, color="0.4", linestyle=(0, (4, 2)), linewidth=1)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panel.xaxis.set_minor_formatter(StrMethodFormatter("{x:,g}"))
    panel.margins(x=0.12)
    panel.set_xlabel(f"QPU seconds for {plan.images:,} images on {plan.device}")
    panel.set_ylabel("predicted share of other answers" if agreement else "predicted loss of AUC")
    panel.grid(alpha=0.3, linewidth=0.6)
    panel.legend(fontsize="small", frameon=False)
    return figure


def _losses(option: Option, agreement: bool) -> tuple[float, float]:
    """The mean and the bound of what was asked for."""
    if agreement:
        return 1 - option.agreement, 1 - option.agreement_bound
    return option.auc_loss, option.auc_bound
