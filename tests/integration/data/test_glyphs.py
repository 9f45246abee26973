import hashlib
import subprocess
import sys

from histsearch.data.glyphs import read_glyphs

HASH_SCRIPT = """
import hashlib
from histsearch.data.glyphs import read_glyphs
digest = hashlib.sha256()
for images in read_glyphs()[:2]:
    for i in range(len(images)):
        digest.update(images.image(i).tobytes())
print(digest.hexdigest())
"""


def test_two_processes_render_the_same_bytes() -> None:
    digest = hashlib.sha256()
    for images in read_glyphs()[:2]:
        for i in range(len(images)):
            digest.update(images.image(i).tobytes())
    result = subprocess.run(
        [sys.executable, "-c", HASH_SCRIPT], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == digest.hexdigest()
