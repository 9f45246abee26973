"""Time of the metrics that a study can maximise, beside R@1 on the same embeddings.

    python -m benchmarks.metrics > benchmarks/metrics.md

Times are those of the processor, as machines are shared. The measurements of a round follow each
other, so that their ratios are taken under the same load. Beside them stand the bare product of all
embeddings with each other and, where it is installed, the search for two neighbours of faiss-cpu.
NMI, which is no objective, is measured by as many clusterings as there are rounds, once with
k-means of scikit-learn.
"""

# N = images, D = embedding size

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import fmean, median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.hist_loss import cpu_model
from histsearch.retrieval.known_metrics import MAP_AT_R, R_PRECISION, Metric, recall_at
from histsearch.retrieval.measurement import measure
from histsearch.retrieval.nmi import assignment_nmi, normalized_mutual_information
from histsearch.retrieval.similarity import CHUNK_SIMILARITIES, unit_embeddings

EMBEDDING_SIZE = 512
faiss: Any = import_module("faiss") if find_spec("faiss") else None

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
    """A figure, if there is one, and the seconds that it took."""

    value: float | None
    seconds: float


def embeddings(case: Case) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(case.images) % case.classes
    labels_N = labels_N[torch.randperm(case.images, generator=generator)]
    centres_CD = torch.randn(case.classes, EMBEDDING_SIZE, generator=generator)
    noise_ND = torch.randn(case.images, EMBEDDING_SIZE, generator=generator)
    return centres_CD[labels_N] + case.noise * noise_ND, labels_N


def timed(work: Callable[[], float | None]) -> Timed:
    started = time.process_time()
    value = work()
    return Timed(value, time.process_time() - started)


def value_of(metric: Metric, embeddings_ND: Tensor, labels_N: Tensor) -> float:
    return measure([metric], embeddings_ND, labels_N)[metric.name]


def multiply(embeddings_ND: Tensor) -> None:
    for chunk_QD in torch.split(embeddings_ND, CHUNK_SIMILARITIES // len(embeddings_ND)):
        chunk_QD @ embeddings_ND.T


def search_with_faiss(embeddings_ND: Tensor) -> None:
    index = faiss.IndexFlatIP(EMBEDDING_SIZE)
    index.add(embeddings_ND.numpy())
    index.search(embeddings_ND.numpy(), 2)


def nmi_of_scikit_learn(embeddings_ND: Tensor, labels_N: Tensor) -> float:
    from sklearn.cluster import KMeans

    clusters = int(labels_N.max()) + 1
    clusters_N = KMeans(clusters, init="k-means++", n_init=1, random_state=0).fit_predict(
        unit_embeddings(embeddings_ND).numpy()
    )
    return assignment_nmi(labels_N.numpy(), clusters_N)


def measure_rounds(case: Case, rounds: int) -> dict[str, list[Timed]]:
    """Of each metric a measurement a round, after one that isn't counted."""
    embeddings_ND, labels_N = embeddings(case)
    unit_ND = unit_embeddings(embeddings_ND)
    works: dict[str, Callable[[], float | None]] = {
        metric.label: partial(value_of, metric, embeddings_ND, labels_N) for metric in METRICS
    }
    works["the product alone"] = partial(multiply, unit_ND)
    if faiss is not None:
        works["faiss-cpu, 2 nearest"] = partial(search_with_faiss, unit_ND)
    for work in works.values():
        work()
    results: dict[str, list[Timed]] = {label: [] for label in (*works, "NMI")}
    for number in range(rounds):
        for label, work in works.items():
            results[label].append(timed(work))
        cluster = partial(normalized_mutual_information, embeddings_ND, labels_N, 1, number)
        results["NMI"].append(timed(cluster))
        if number == 0:
            theirs = partial(nmi_of_scikit_learn, embeddings_ND, labels_N)
            results["NMI, scikit-learn's k-means"] = [timed(theirs)]
    return results


def table(results: dict[str, list[Timed]]) -> Iterator[str]:
    yield "| Metric | Value, % | Seconds | Times R@1's |"
    yield "|---|--:|--:|--:|"
    base = results[METRICS[0].label]
    for label, runs in results.items():
        ratios = [run.seconds / one.seconds for run, one in zip(runs, base, strict=False)]
        seconds = median(run.seconds for run in runs)
        spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
        values = [run.value for run in runs if run.value is not None]
        value = f"{100 * fmean(values):.1f}" if values else ""
        yield f"| {label} | {value} | {seconds:.2f} | {median(ratios):.2f}{spread} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each metric, n")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if faiss is not None:
        faiss.omp_set_num_threads(1)

    print("# Metrics: time beside R@1\n")
    print(
        f"From embeddings (D = {EMBEDDING_SIZE}, float32, of classes with normal noise) to the "
        f"figure. Medians of n = {arguments.rounds} rounds, ratios within a round: their median "
        "(smallest–largest). Seconds are the processor's. NMI, no objective, is that of one "
        "clustering a round; n = 1 with scikit-learn's k-means.\n"
    )
    print(f"- `python -m benchmarks.metrics --rounds {arguments.rounds}`")
    print(f"- {cpu_model()}, 1 thread, PyTorch {torch.__version__}")
    for case in CASES:
        print(f"\n## {case.images:,} images in {case.classes:,} classes, as {case.name}\n")
        print("\n".join(table(measure_rounds(case, arguments.rounds))))


if __name__ == "__main__":
    main()
