"""Time of the metrics that a study can maximise, beside R@1 on the same embeddings.

    python -m benchmarks.metrics > benchmarks/metrics.md

Times are those of the processor, as machines are shared. The measurements of a round follow each
other, so that their ratios are taken under the same load. NMI, which is no objective, is measured
in the first round alone, by one clustering.
"""

# N = images, D = embedding size

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.hist_loss import cpu_model
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, Metric, recall_at
from histsearch.retrieval.measurement import measure
from histsearch.retrieval.nmi import normalized_mutual_information

EMBEDDING_SIZE = 512
METRICS = (recall_at(1), recall_at(4), R_PRECISION, MAP_AT_R)


class Case(NamedTuple):
    """Images of a size of their own, as many in each class.

    Attributes:
        noise: Standard deviation of an embedding around its class's, whose coordinates have 1.
    """

    name: str
    images: int
    classes: int
    noise: float


CASES = (
    Case("test half of CUB-200-2011", images=5_924, classes=100, noise=3.2),
    Case("a fifth of SOP's test half", images=12_100, classes=2_263, noise=2.0),
)


class Timed(NamedTuple):
    """A figure, and the seconds that it took."""

    value: float
    seconds: float


def embeddings(case: Case) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(case.images) % case.classes
    labels_N = labels_N[torch.randperm(case.images, generator=generator)]
    centres_CD = torch.randn(case.classes, EMBEDDING_SIZE, generator=generator)
    noise_ND = torch.randn(case.images, EMBEDDING_SIZE, generator=generator)
    return centres_CD[labels_N] + case.noise * noise_ND, labels_N


def timed(work: Callable[[], float]) -> Timed:
    started = time.process_time()
    value = work()
    return Timed(value, time.process_time() - started)


def value_of(metric: Metric, embeddings_ND: Tensor, labels_N: Tensor) -> float:
    return measure([metric], embeddings_ND, labels_N)[metric.name]


def measure_rounds(case: Case, rounds: int) -> dict[str, list[Timed]]:
    """Of each metric a measurement a round, after one that isn't counted; of NMI one alone."""
    images = embeddings(case)
    works = {metric.label: partial(value_of, metric, *images) for metric in METRICS}
    for work in works.values():
        work()
    results = {label: [timed(work)] for label, work in works.items()}
    results["NMI"] = [timed(partial(normalized_mutual_information, *images, 1, 0))]
    for _ in range(rounds - 1):
        for label, work in works.items():
            results[label].append(timed(work))
    return results


def table(results: dict[str, list[Timed]]) -> Iterator[str]:
    yield "| Metric | Value, % | Seconds | Times R@1's |"
    yield "|---|--:|--:|--:|"
    base = results[METRICS[0].label]
    for label, runs in results.items():
        ratios = [run.seconds / one.seconds for run, one in zip(runs, base, strict=False)]
        seconds = median(run.seconds for run in runs)
        spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
        yield (
            f"| {label} | {100 * runs[0].value:.1f} | {seconds:.2f} "
            f"| {median(ratios):.2f}{spread} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each metric, n")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    print("# Metrics: time beside R@1\n")
    print(
        f"From embeddings (D = {EMBEDDING_SIZE}, float32, of classes with normal noise) to the "
        f"figure. Medians of n = {arguments.rounds} rounds, ratios within a round: their median "
        "(smallest–largest). Seconds are the processor's. NMI, no objective: n = 1, by one k-means "
        "clustering.\n"
    )
    print(f"- `python -m benchmarks.metrics --rounds {arguments.rounds}`")
    print(f"- {cpu_model()}, 1 thread, PyTorch {torch.__version__}")
    for case in CASES:
        print(f"\n## {case.images:,} images in {case.classes:,} classes, as {case.name}\n")
        print("\n".join(table(measure_rounds(case, arguments.rounds))))


if __name__ == "__main__":
    main()
