"""The figures of a trained model on the test classes of a data set."""

import torch

from histsearch.data.dataset import Dataset
from histsearch.data.image_loader import ImageLoader
from histsearch.exceptions import WeightsError
from histsearch.models.checkpoint import Checkpoint
from histsearch.models.loading import ExportedModel
from histsearch.retrieval.known_metrics import recall_at
from histsearch.training.batch_source import EvaluationLoader
from histsearch.training.evaluation import EmbeddedImages, embed_images, take_figures
from histsearch.workers.device_fault import is_out_of_memory


def evaluate_model(
    model: Checkpoint | ExportedModel,
    dataset: Dataset,
    name: str,
    *,
    device: str,
    loader_processes: int,
) -> dict[str, float]:
    """The columns of Table 3 (Yuan & Le-Phuoc 2023), R-Precision and MAP@R, in percent.

    Args:
        model: The model.
        dataset: Its test classes are used.
        name: What to call the model in messages.
        device: "cpu" or "cuda".
        loader_processes: Processes that decode images.

    Raises:
        WeightsError: Its embeddings aren't finite, or its images take more memory than there is.
        DataError: An image can't be read.
    """
    embedded = _embed(model, dataset, name, torch.device(device), loader_processes)
    if not torch.isfinite(embedded.query_ND).all():
        raise WeightsError(f"the embeddings of {name} are NaN or infinite; it is no use")
    figures = take_figures(embedded, dataset.record)
    recall = {recall_at(k).label: value for k, value in figures.recall.items()}
    return {label: 100 * value for label, value in (recall | figures.others).items()}


def _embed(
    model: Checkpoint | ExportedModel,
    dataset: Dataset,
    name: str,
    device: torch.device,
    loader_processes: int,
) -> EmbeddedImages:
    loader = ImageLoader(loader_processes, pin_memory=device.type == "cuda")
    images = EvaluationLoader(model.preprocessing, loader)
    images.add(dataset.test)
    if dataset.gallery is not None:
        images.add(dataset.gallery)
    try:
        return embed_images(
            model.network.to(device),
            dataset.test,
            dataset.gallery,
            model.preprocessing,
            device=device,
            batches=images.batches,
        )
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        side = model.preprocessing.crop
        raise WeightsError(
            f"out of memory with the images of {side}×{side} pixels that {name} takes; evaluate it "
            "where there is more"
        ) from error
