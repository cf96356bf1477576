"""What the results on disk say of each claim of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from experiments import common, evidence, transfer
from experiments.evidence import Experiment
from keras_simsiam import documents
from keras_simsiam.tuning.results import mean_and_range

Verdict = Literal["reproduced", "explained", "contradicted", "open"]

Results = Sequence[Experiment]

FLOOR = -0.875
"""The last loss of the report's Figure 1 without the stop-gradient."""

AREA, NEAR = -0.7, 0.1
"""The claim's "area of around -0.7", and how far from it a training with the stop-gradient may end:
the report's own loss moves by as much over its last 20 epochs."""

FLOOR_NEAR = 0.01
"""How far from the report's last loss without the stop-gradient a training may end."""


class Judged(NamedTuple):
    """What the results say of a claim.

    Attributes:
        verdict: In a word.
        because: In sentences.
        figures: Names of the figures that show it.
    """

    verdict: Verdict
    because: Sequence[str]
    figures: Sequence[str] = ()


UNKNOWN = Judged("open", ["It has not been measured."])
"""There are no results."""


def few_labels(_: Results) -> Judged:
    """Whether labels are worth more with an encoder than without."""
    said, more, figures = [], [], []
    for path in sorted((common.HERE / "results" / "transfer").glob("*.csv")):
        curves = transfer.read(path)
        worths = transfer.worths(curves)
        more += [same is None or same > count for count, same in worths.items()]
        words = "; ".join(transfer.in_words(curves))
        said.append(f"{documents.read_yaml(path.with_suffix('.yaml'))['title']}: {words}.")
        figures.append(f"transfer_{path.stem}")
    if not more:
        return UNKNOWN
    verdict: Verdict = "reproduced" if all(more) else "open" if any(more) else "contradicted"
    return Judged(verdict, said, figures)


def stop_gradient_prevents_collapse(results: Results) -> Judged:
    """Whether all runs without the stop-gradient collapse, and none with it."""
    counts, said, figures = {"with": [0, 0], "without": [0, 0]}, [], []
    for found in evidence.of(results, "stop_gradient"):
        for kind, count in counts.items():
            line = found.line(f"{kind} stop-gradient")
            if line is not None:
                collapsed = evidence.collapsed(line)
                count[0] += collapsed
                count[1] += len(line.entries)
                rank = mean_and_range("projector_rank", line.measured("projector_rank"))
                said.append(
                    f"{kind.capitalize()} it, {evidence.setup(found, line)}: {collapsed} of "
                    f"{len(line.entries)} collapsed, rank of z {rank}."
                )
        figures.append(found.name)
    if not counts["with"][1] or not counts["without"][1]:
        return UNKNOWN
    as_claimed = counts["with"][0] == 0 and counts["without"][0] == counts["without"][1]
    return Judged("reproduced" if as_claimed else "contradicted", said, figures)


def other_parts_do_not_matter(results: Results) -> Judged:
    """Whether predictor, batch size and BatchNorm affect collapse."""
    said, collapses, figures = [], 0, []
    for sweep, part in (
        ("predictor", "predictor"),
        ("batch_size", "batch size"),
        ("batch_norm", "BatchNorm"),
    ):
        for found in evidence.of(results, sweep):
            for line in found.lines:
                if evidence.collapsed(line):
                    collapses += 1
                    said.append(
                        f"{part.capitalize()}, {line.label}: {evidence.collapsed(line)} of "
                        f"{len(line.entries)} collapsed, although the stop-gradient was there."
                    )
            if not any(map(evidence.collapsed, found.lines)):
                runs = sum(len(line.entries) for line in found.lines)
                said.append(f"{part[0].upper()}{part[1:]}: 0 of {runs} collapsed.")
            figures.append(found.name)
    if not figures:
        return UNKNOWN
    if collapses:
        said.append("The paper's Table 1 has 0.1% without a predictor, too.")
    return Judged("contradicted" if collapses else "reproduced", said, figures)


def competitive_when_short(results: Results) -> Judged:
    """Whether SimSiam is ahead of the other methods."""
    ahead, behind, said, figures = 0, 0, [], []
    for found in evidence.of(results, "methods"):
        for length, of_method in evidence.lengths(found).items():
            ours = of_method.pop("simsiam", None)
            if ours is None:
                continue
            better = [name for name, line in of_method.items() if evidence.above(line, ours)]
            worse = [name for name, line in of_method.items() if evidence.above(ours, line)]
            ahead += len(worse) == len(of_method)
            behind += bool(better)
            said.append(
                f"{found.images}, {length} epochs: {evidence.names(better)} ahead of SimSiam, "
                f"{evidence.names(worse)} behind, the others not separated from it."
            )
            figures.append(found.name)
    if not said:
        return UNKNOWN
    verdict: Verdict = "contradicted" if behind else "reproduced" if ahead else "open"
    limits = (
        "This is how the methods start on small images with a narrow network, all with SimSiam's "
        "heads; it says nothing about 100 epochs of ImageNet, where the paper has SimSiam at 68.1 "
        "and the others between 66.5 and 67.4, and lightly has SwAV at 67.2 and the others "
        "between 61.5 and 63.2."
    )
    return Judged(verdict, [*said, limits], list(dict.fromkeys(figures)))


def others_gain_more(results: Results) -> Judged:
    """Whether more methods are ahead of SimSiam after longer trainings."""
    said, verdicts, figures = [], [], []
    for found in evidence.of(results, "methods"):
        lengths = {n: lines for n, lines in evidence.lengths(found).items() if "simsiam" in lines}
        if len(lengths) < 2:
            said.append(f"{found.images}: trained for one length only.")
            continue
        better = {
            n: [m for m, line in lengths[n].items() if evidence.above(line, lengths[n]["simsiam"])]
            for n in (min(lengths), max(lengths))
        }
        after = (f"after {n} epochs: {evidence.names(ahead)}" for n, ahead in better.items())
        said.append(f"{found.images}, ahead of SimSiam {'; '.join(after)}.")
        first, last = better.values()
        verdicts.append(len(last) > len(first))
        figures.append(found.name)
    if not verdicts:
        return Judged("open", said or UNKNOWN.because)
    said.append("The claim is taken to mean that more methods are ahead after longer trainings.")
    return Judged("reproduced" if all(verdicts) else "contradicted", said, figures)


def better_than_simclr(results: Results) -> Judged:
    """Whether SimSiam is ahead of SimCLR at every length."""
    said, outcomes, figures = [], [], []
    for found in evidence.of(results, "methods"):
        for length, of_method in evidence.lengths(found).items():
            ours, simclr = of_method.get("simsiam"), of_method.get("simclr")
            if ours is None or simclr is None:
                continue
            outcomes.append(
                1 if evidence.above(ours, simclr) else -1 if evidence.above(simclr, ours) else 0
            )
            cells = [mean_and_range("knn_top1", x.measured("knn_top1")) for x in (ours, simclr)]
            said.append(
                f"{found.images}, {length} epochs: kNN {cells[0]} with SimSiam, {cells[1]} with "
                "SimCLR."
            )
            figures.append(found.name)
    if not outcomes:
        return UNKNOWN
    verdict: Verdict = (
        "contradicted" if -1 in outcomes else "reproduced" if 0 not in outcomes else "open"
    )
    limits = "This is at this size; in the paper, on ImageNet, SimSiam leads by 0.9 to 1.7 points."
    return Judged(verdict, [*said, limits], list(dict.fromkeys(figures)))


def floor(results: Results) -> Judged:
    """Where a collapsed loss ends, and how much of it the report's departures explain."""
    said, figures = [], []
    verdict: Verdict = "open"
    gap = 0.0
    for found in evidence.of(results, "collapse_floor_departures"):
        paper, batch, together = (
            found.line(label) for label in ("the paper's, batch 64", "batch 16", "all four")
        )
        losses = [line.mean("loss") if line else None for line in (paper, batch, together)]
        known = [loss for loss in losses if loss is not None]
        if len(known) < 3:
            continue
        gap = FLOOR - known[0]
        alone, all_four = ((loss - known[0]) / gap for loss in known[1:])
        if all_four > 0.5:
            verdict = "explained"
        said.append(
            f"{found.images}, at the same number of steps: the paper's settings with batches of "
            f"64 end at {known[0]:.3f}, batches of 16 at {known[1]:.3f}, and the four departures "
            f"of the report's code together at {known[2]:.3f}. That is {alone:.0%} and "
            f"{all_four:.0%} of the way to the report's {FLOOR}."
        )
        said.append(
            "BatchNorm at the end of the projector keeps the variance of each dimension at 1, so "
            "that z cannot gather in one point; the fewer images share it, the higher the loss."
        )
        figures += ["collapse_floor_batch_" + found.dataset, found.name]
    for found in evidence.of(results, "stop_gradient", "report"):
        line = found.line("without stop-gradient")
        loss = line.mean("loss") if line else None
        if loss is not None:
            if abs(loss - FLOOR) <= FLOOR_NEAR:
                verdict = "reproduced"
            rest = f", which leaves {(FLOOR - loss) / gap:.0%} of the way" if gap else ""
            if gap and loss > FLOOR:
                rest = f", above the report's {FLOOR}"
            setup = evidence.setup(found, line)
            said.append(f"With the report's own settings, {setup}: {loss:.3f}{rest}.")
            figures.append(found.name)
    return Judged(verdict, said or UNKNOWN.because, figures)


def around_minus_07(results: Results) -> Judged:
    """Whether 50 epochs of Tiny ImageNet with the stop-gradient end in the area of -0.7."""
    near, said, figures = [], [], []
    for found in [
        *evidence.of(results, "stop_gradient"),
        *evidence.of(results, "stop_gradient", "report"),
    ]:
        line = found.line("with stop-gradient")
        loss = line.mean("loss") if line else None
        if line is None or loss is None or found.dataset != "tiny_imagenet":
            continue
        epochs = found.about["configuration"]["training"]["epochs"]
        cell = mean_and_range("loss", line.measured("loss"))
        said.append(f"{evidence.setup(found, line)}: {cell}.")
        figures.append(found.name)
        if epochs >= 50:
            near.append(abs(loss - AREA) <= NEAR)
    if not near:
        said.append("The report's 50 epochs have not been trained for this.")
        return Judged("open", said, figures)
    verdict: Verdict = "reproduced" if all(near) else "open" if any(near) else "contradicted"
    return Judged(verdict, said, figures)


def less_data(results: Results) -> Judged:
    """Whether something else than the data moves the floor."""
    for found in evidence.of(results, "collapse_floor_batch"):
        losses = {
            int(line.label.split()[1]): loss
            for line in found.lines
            if (loss := line.mean("loss")) is not None
        }
        if len(losses) > 1:
            small, large = min(losses), max(losses)
            moved = losses[small] - losses[large]
            because = (
                f"{found.images}: with the same images and the same number of steps, the loss "
                f"without the stop-gradient ends at {losses[small]:.3f} with batches of {small} "
                f"and at {losses[large]:.3f} with batches of {large}: it is the batch that "
                "BatchNorm sees, not the amount of data."
            )
            return Judged("contradicted" if moved > 0.03 else "open", [because], [found.name])
    return UNKNOWN


def necessary(results: Results) -> Judged:
    """Whether only the stop-gradient prevents collapse."""
    judged = stop_gradient_prevents_collapse(results)
    if judged.verdict == "open":
        return judged
    said = ["For SimSiam, it is: see above."]
    for found in evidence.of(results, "methods"):
        free = [
            line
            for line in found.lines
            if line.label.split(",")[0] in ("simclr", "barlow_twins", "vicreg")
        ]
        if free:
            runs, collapsed = sum(len(x.entries) for x in free), sum(map(evidence.collapsed, free))
            said.append(
                f"SimCLR, Barlow Twins and VICReg have no stop-gradient, and {collapsed} of {runs} "
                f"of their runs on {found.images} collapsed: their losses prevent it."
            )
    for found in evidence.of(results, "predictor"):
        line = found.line("none", "no predictor")
        if line is not None and evidence.collapsed(line):
            said.append(
                f"It is not sufficient: without a predictor {evidence.collapsed(line)} of "
                f"{len(line.entries)} runs of SimSiam on {found.images} collapsed all the same."
            )
    return Judged(judged.verdict, said, judged.figures)
