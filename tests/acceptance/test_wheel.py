import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_spaces_and_the_templates_of_the_report_travel_inside_the_wheel(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    site = tmp_path / "site"
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT],
        check=True,
    )
    (wheel,) = tmp_path.glob("histsearch-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from histsearch.space.reading import builtin_spaces, load_space\n"
        "from histsearch.reports.document.page import render_page\n"
        "from histsearch.reports.document.sections import Document\n"
        "print(builtin_spaces()['demo'], load_space('cars196-resnet50').name)\n"
        "print(render_page(Document('birds', [])).split()[-1])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, site], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    demo = str(site / "histsearch/spaces/demo.toml")
    assert shown == [demo, "cars196-resnet50", "</html>"]
