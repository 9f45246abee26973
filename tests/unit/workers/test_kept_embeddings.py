from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from histsearch.data.dataset import Dataset
from histsearch.data.image_set import ImageSet
from histsearch.data.inshop import INSHOP
from histsearch.retrieval.known_metrics import recall_at
from histsearch.studies.embeddings_file import EmbeddingsFile
from histsearch.training.evaluation import EmbeddedImages
from histsearch.workers.kept_embeddings import EmbeddedParts, training_sample

DATA = Path("/data/sets")
ITEMS = ("hat", "shoe", "tie")


def files(items: list[str], folder: Path) -> ImageSet:
    return ImageSet.from_files([(folder / f"{i}.jpg", item) for i, item in enumerate(items)], ITEMS)


def kept(scale: float = 1.0, folder: Path = DATA / "img") -> EmbeddingsFile:
    """Four queries and three gallery images, of which one item is missing."""
    dataset = Dataset(
        INSHOP,
        train=files(["hat", "tie"], folder / "train"),
        test=files(["hat", "shoe", "shoe", "tie"], folder / "query"),
        gallery=files(["shoe", "hat", "shoe"], folder / "gallery"),
    )
    assert dataset.gallery is not None
    query_ND = scale * torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [1.0, 1.0]])
    gallery_MD = scale * torch.tensor([[1.0, 0.1], [0.1, 1.0], [1.0, -1.0]])
    embedded = EmbeddedImages(query_ND, labels(dataset.test), gallery_MD, labels(dataset.gallery))
    found = embedded.retrieve([recall_at(1)], nearest=5)
    sample = training_sample(dataset.train)
    parts = EmbeddedParts(embedded, found.nearest_NK, sample, scale * torch.eye(2))
    content = parts.to_file(dataset, DATA)
    assert content.hit_N.mean() == found.values["r_at_1"]
    return content


def labels(images: ImageSet) -> Tensor:
    return torch.as_tensor(images.labels_N)


def test_queries_are_ranked_against_their_gallery() -> None:
    content = kept()
    assert content.gallery is content.ranked
    assert content.ranked.path_N == tuple(f"img/gallery/{i}.jpg" for i in range(3))
    assert content.queries.path_N[3] == "img/query/3.jpg"
    assert content.train.path_N == ("img/train/0.jpg", "img/train/1.jpg")
    assert [content.train.class_names[label] for label in content.train.label_N] == ["hat", "tie"]
    assert content.nearest_N5.tolist() == [
        [1, 0, 2, -1, -1],
        [0, 2, 1, -1, -1],
        [1, 0, 2, -1, -1],
        [1, 0, 2, -1, -1],
    ]
    assert content.hit_N.tolist() == [True, True, False, False]
    assert content.class_recall() == {"hat": 1.0, "shoe": 0.5, "tie": 0.0}
    assert content.dataset == "inshop"


def test_an_image_beyond_the_folder_of_data_sets_has_no_path() -> None:
    assert kept(folder=Path("/elsewhere")).queries.path_N == ("", "", "", "")


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e4, 1e9])
def test_embeddings_of_any_length_keep_their_directions(scale: float) -> None:
    content = kept(scale)
    assert content.gallery is not None
    plain = kept()
    ratio = content.queries.embedding_ND[3, 0] / plain.queries.embedding_ND[3, 0]
    for part, of_one in (
        (content.queries, plain.queries),
        (content.ranked, plain.ranked),
        (content.train, plain.train),
    ):
        assert part.embedding_ND.dtype == np.float16
        assert np.isfinite(part.embedding_ND).all()
        np.testing.assert_allclose(
            part.embedding_ND, ratio * of_one.embedding_ND.astype(float), rtol=2e-3
        )
