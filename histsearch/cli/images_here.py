"""What the data folder of this machine holds for a new study, on the screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from histsearch.cli.output import echo

if TYPE_CHECKING:
    from histsearch.studies.study import Study


def tell_images(study: "Study", folder: Path) -> None:
    """Say what a folder of data sets holds for a new study, where there is such a folder."""
    from histsearch.studies.data_here import look_for_data
    from histsearch.studies.images import image_warnings

    here = look_for_data(study.definition, folder)
    if here is None:
        return
    for lack in here.lacks:
        echo(f"warning: workers with the data folder {folder} can't serve it: {lack}", err=True)
    if here.census is None:
        return
    echo(f"images in {folder}: {here.census}")
    for warning in image_warnings(study, here.census):
        echo(f"warning: {warning}", err=True)
