"""What a GPU makes of training, in one call of under ten minutes. Prints tables in Markdown.

    python -m benchmarks.gpu --out RESULTS

It needs no database and makes its images itself. A line of a table is printed, and added to
RESULTS/gpu.jsonl, as soon as it is measured; what there is no time for is left out and counted.
`--device cpu --tiny` rehearses all of it in a minute or two.
"""

import argparse
import json
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TextIO

import torch
import torchvision

from benchmarks.gpu_sections import evaluation, pipeline, saving, slots, step, trial
from benchmarks.gpu_sections.session import TINY, WHOLE, Row, Section, Session

_USUAL_SECONDS = 540.0


class _Part(NamedTuple):
    """A section, and its share of the time."""

    title: str
    share: int
    rows: Section


SECTIONS: Mapping[str, _Part] = {
    "step": _Part("A training step", 17, step.rows),
    "pipeline": _Part("Images that reach the network", 10, pipeline.rows),
    "slots": _Part("Processes side by side", 9, slots.rows),
    "evaluation": _Part("An evaluation", 6, evaluation.rows),
    "saving": _Part("A saved state", 4, saving.rows),
    "trial": _Part("A whole trial", 8, trial.rows),
}


def measure(names: list[str], session: Session, seconds: float, out: TextIO) -> int:
    """Measure sections one after another; the number of those that failed."""
    end = time.monotonic() + seconds
    failed = 0
    for place, name in enumerate(names):
        part = SECTIONS[name]
        rest = sum(SECTIONS[one].share for one in names[place:])
        now = time.monotonic()
        session.deadline = now + (end - now) * part.share / rest
        session.left_out = 0
        print(f"\n## {part.title} (`{name}`)\n", flush=True)
        try:
            _print_rows(name, part, session, out)
        except RuntimeError as error:  # such as a lack of memory, which others may have enough of
            print(f"\nfailed: {type(error).__name__}: {error}", flush=True)
            failed += 1
        took = time.monotonic() - now
        print(f"\n{took:.0f} s" + _left_out(session.left_out), flush=True)
        if session.device.type == "cuda":
            torch.cuda.empty_cache()
    return failed


def _print_rows(name: str, part: _Part, session: Session, out: TextIO) -> None:
    for number, row in enumerate(part.rows(session)):
        if number == 0:
            print(_line(row.keys()))
            print(_line(["---"] * len(row)))
        print(_line(row.values()), flush=True)
        _write(out, {"section": name, **row})


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _write(out: TextIO, row: Row) -> None:
    out.write(json.dumps(row) + "\n")
    out.flush()


def _left_out(lines: int) -> str:
    return f", lines left out for want of time: {lines}" if lines else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.jsonl")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="rehearse: small, and quick")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--seconds", type=float, default=_USUAL_SECONDS, help="for all together")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU is found; --device cpu --tiny rehearses what would be measured")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if options.device == "cuda" else "CPU",
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "command": shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]]),
    }
    print("\n".join(f"- {name}: {value}" for name, value in about.items()), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="histsearch-gpu-") as folder,
        (options.out / "gpu.jsonl").open("a") as out,
    ):
        _write(out, {"section": "about", **about})
        session = Session(device, TINY if options.tiny else WHOLE, Path(folder))
        failed = measure(options.sections, session, options.seconds, out)
    sys.exit(failed)


if __name__ == "__main__":
    main()
