"""Time and peak memory of the HIST loss on the CPU, beside the formula as it is written.

    python -m benchmarks.hist_loss > benchmarks/hist_loss.md

Each measurement is a forward and a backward pass of the whole loss at the paper's sizes (N = 32,
D = 512, one hidden layer of 512) in a fresh process. The measurements of a round follow each other,
so that their ratios are taken under the same load of the machine.
"""

# N = batch, C = classes, D = embedding size

import argparse
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from histsearch.hist import HISTLoss
from histsearch.hist.distances import DistanceName

BATCH = 32
EMBEDDING_SIZE = 512
SOP_CLASSES = 11_318
GROWTH_CLASSES = (12_500, 25_000, 50_000, 100_000)
TIMED_PASSES = 5


class NaiveHISTLoss(HISTLoss):
    """The same loss with the differences of all embeddings and classes in one N×C×D tensor."""

    def distances(self, embeddings_ND: Tensor) -> Tensor:
        difference_NCD = F.normalize(embeddings_ND)[:, None] - F.normalize(self.means)
        if self.distance == "manhattan":
            return difference_NCD.abs().sum(-1)
        return (difference_NCD.square() / torch.exp(F.relu6(self.log_vars))).sum(-1)


@dataclass(frozen=True)
class Variant:
    loss_type: type[HISTLoss]
    distance: DistanceName
    classes: int


class Measurement(NamedTuple):
    seconds: float
    mebibytes: float
    loss: float


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(variant: Variant, threads: int) -> Measurement:
    """One untimed pass, then the median of the timed ones; memory beyond the built module's."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    loss = variant.loss_type(
        variant.classes, EMBEDDING_SIZE, tau=32, alpha=0.9, lambda_s=1, distance=variant.distance
    )
    embeddings_ND = torch.randn(BATCH, EMBEDDING_SIZE, requires_grad=True)
    labels_N = torch.randint(variant.classes, (BATCH,))
    built = peak_mebibytes()
    seconds = []
    for _ in range(1 + TIMED_PASSES):
        loss.zero_grad()
        start = time.perf_counter()
        total = loss(embeddings_ND, labels_N)
        total.backward()
        seconds.append(time.perf_counter() - start)
    return Measurement(median(seconds[1:]), peak_mebibytes() - built, total.item())


def measure_rounds(
    variants: list[Variant], rounds: int, threads: int
) -> dict[Variant, list[Measurement]]:
    results: dict[Variant, list[Measurement]] = {variant: [] for variant in variants}
    fresh = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as executor:
        for _ in range(rounds):
            for variant in variants:
                results[variant].append(executor.submit(measure, variant, threads).result())
    return results


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def with_range(ratios: list[float]) -> str:
    return f"{median(ratios):.0f} ({min(ratios):.0f}–{max(ratios):.0f})"


def comparison_table(results: dict[Variant, list[Measurement]]) -> Iterator[str]:
    yield "| Distance | Formulation | Seconds | Peak MiB | Times faster | Times less memory |"
    yield "|---|---|--:|--:|--:|--:|"
    for distance in ("mahalanobis", "manhattan"):
        naive = results[Variant(NaiveHISTLoss, distance, SOP_CLASSES)]
        ours = results[Variant(HISTLoss, distance, SOP_CLASSES)]
        pairs = list(zip(naive, ours, strict=True))
        assert all(abs(a.loss - b.loss) <= 1e-5 * abs(a.loss) for a, b in pairs)
        faster = [a.seconds / b.seconds for a, b in pairs]
        smaller = [a.mebibytes / b.mebibytes for a, b in pairs]
        for name, runs, ratios in (
            ("naive, N×C×D", naive, "1 | 1"),
            ("`HISTLoss`", ours, f"{with_range(faster)} | {with_range(smaller)}"),
        ):
            seconds = median(run.seconds for run in runs)
            mebibytes = median(run.mebibytes for run in runs)
            yield f"| {distance} | {name} | {seconds:.3f} | {mebibytes:,.0f} | {ratios} |"


def growth_table(results: dict[Variant, list[Measurement]]) -> Iterator[str]:
    yield "| C | Seconds | Microseconds a class | Peak MiB | KiB a class |"
    yield "|--:|--:|--:|--:|--:|"
    for classes in GROWTH_CLASSES:
        runs = results[Variant(HISTLoss, "mahalanobis", classes)]
        seconds = median(run.seconds for run in runs)
        mebibytes = median(run.mebibytes for run in runs)
        yield (
            f"| {classes:,} | {seconds:.3f} | {1e6 * seconds / classes:.1f} "
            f"| {mebibytes:,.0f} | {1024 * mebibytes / classes:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant, n")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    arguments = parser.parse_args()

    variants = [
        Variant(loss_type, distance, SOP_CLASSES)
        for distance in ("mahalanobis", "manhattan")
        for loss_type in (NaiveHISTLoss, HISTLoss)
    ]
    variants += [Variant(HISTLoss, "mahalanobis", classes) for classes in GROWTH_CLASSES]
    results = measure_rounds(variants, arguments.rounds, arguments.threads)

    print("# The HIST loss: time and peak memory\n")
    print(
        f"Forward and backward pass, N = {BATCH}, D = {EMBEDDING_SIZE}, two HGNN layers with 512 "
        f"hidden features, float32. Medians of n = {arguments.rounds} fresh processes, each the "
        f"median of {TIMED_PASSES} passes after one untimed; ratios are taken within a round: "
        "their median (smallest–largest). Memory is the peak beyond that of the built module, "
        "gradients included.\n"
    )
    print(
        f"- `python -m benchmarks.hist_loss --rounds {arguments.rounds}"
        f" --threads {arguments.threads}`"
    )
    print(f"- {cpu_model()}, {arguments.threads} thread(s), PyTorch {torch.__version__}\n")
    print(f"## Stanford Online Products (C = {SOP_CLASSES:,})\n")
    print("\n".join(comparison_table(results)))
    print("\n## Growth with the number of classes (Mahalanobis)\n")
    print("\n".join(growth_table(results)))


if __name__ == "__main__":
    main()
