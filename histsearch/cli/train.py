"""``histsearch train``: one configuration outside any study, for a quick look."""

from pathlib import Path
from typing import Annotated

import typer

from histsearch.cli.device import (
    DataOnGpuOption,
    DeviceOption,
    GpuOption,
    LoadersOption,
    ThreadsOption,
    loader_processes,
    named_gpu,
    pin,
    usual_threads,
)
from histsearch.cli.logs import shown_on_terminal
from histsearch.cli.options import (
    USUAL_IMAGE_CACHE_LIMIT,
    DataOption,
    ImageCacheLimitOption,
    ImageCacheOption,
    WeightsOption,
    assignments,
    named_image_cache,
)
from histsearch.cli.output import echo
from histsearch.exceptions import WeightsError
from histsearch.folders import data_folder
from histsearch.sharing import make_folder
from histsearch.training.data_on_gpu import DataOnGpu
from histsearch.training.progress_display import Phase


def train(
    space: Annotated[
        str, typer.Option("--space", help="A space that comes with histsearch, or a TOML file.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE...]", help="Values over those of the space."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs to train [default: the space's]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")] = 0,
    weights: WeightsOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="File to save the model to."),
    ] = None,
    gpu: GpuOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    loaders: LoadersOption = None,
    data: DataOption = None,
    image_cache: ImageCacheOption = None,
    image_cache_limit: ImageCacheLimitOption = USUAL_IMAGE_CACHE_LIMIT,
    data_on_gpu: DataOnGpuOption = DataOnGpu.auto,
) -> None:
    """Train one configuration and print its score on the validation images after each epoch.

    Parameters that neither KEY=VALUE nor [fixed] names have the values of the space's first
    [[enqueue]], else their defaults.
    """
    # Torch, which a space's loss or backbone may need, has to find the GPU pinned.
    pinned = named_gpu(gpu, device)
    torch_device = pin(pinned)
    with shown_on_terminal() as (display, aside):
        display.begin(Phase("starting"))

        from histsearch.space.reading import load_space, parse_space

        loaded = load_space(space)
        changes: dict[str, object] = {}
        if epochs is not None:
            changes["epochs"] = epochs
        if weights is not None:
            changes["weights"] = weights
        chosen = parse_space({**loaded.model_dump(), **changes}, source=space)
        if out is not None:
            _make_folder_of(out)

        from histsearch.training.single_run import SingleRun

        run = SingleRun(
            chosen,
            assignments(values or []),
            data_dir=data_folder(data),
            device=torch_device,
            threads=threads or usual_threads(pinned),
            loader_processes=loader_processes(loaders, pinned),
            seed=seed,
            image_cache=named_image_cache(image_cache, image_cache_limit),
            data_on_gpu=data_on_gpu,
            display=display,
        )
        configuration = run.trainer.settings.hyperparameters
        with aside():
            echo(" ".join(f"{name}={value}" for name, value in configuration.items()))
        objective = run.trainer.settings.objective.label
        for epoch in run.epochs():
            with aside():
                echo(
                    f"epoch {epoch.number}/{chosen.epochs}  {objective} {epoch.score:6.2%}  "
                    f"loss {epoch.loss:.3f}  {epoch.seconds:.1f} s  "
                    f"{epoch.images_per_second:.0f} images/s"
                )
        if out is not None:
            display.begin(Phase("saving the model"))
            run.save(out)
            with aside():
                echo(f"saved {out}")


def _make_folder_of(file: Path) -> None:
    """Find out before the training whether its result can be saved."""
    try:
        make_folder(file.parent)
    except OSError as error:
        raise WeightsError(f"can't save {file} ({error.strerror}); give another --out") from error
