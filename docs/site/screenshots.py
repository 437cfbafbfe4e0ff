"""Pictures of the report's sections, taken by headless Chromium where the report is another than the pictures were taken of."""

import hashlib
import json
import tempfile
from pathlib import Path

from docs.site.browser import BROWSER, browser

__all__ = ["MOST_BYTES", "SECTIONS", "reports", "screenshots"]

#: Sections of the report, by the anchor of each; "top" is the head of the page down to the causes.
SECTIONS = ("top", "machine", "causes", "path", "layers", "roofline", "timeline", "memories")
#: Most bytes of a picture.
MOST_BYTES = 150_000
WIDTH = 1000
#: Most pixels of height; what is longer is cut.
HEIGHT = 900

_BOX = """(() => { const of = e => e.getBoundingClientRect(), name = %s;
  const first = of(name === 'top' ? document.querySelector('header') : document.getElementById(name));
  const last = name === 'top' ? of(document.getElementById('causes')) : first;
  return [0, Math.max(0, first.top + scrollY - 8), %d, last.bottom - first.top + 16]; })()"""


#: What a pointer on the timeline tells: of what it is on.
_POINT = """(() => { const canvas = document.getElementById('canvas'), box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 0.62 * box.width, clientY: box.top + 61})); })()"""


def reports(*, large: bool = False) -> dict[str, str]:
    """The reports of which pictures are committed, by the name of the network: HTML. ``large``: that of ResNet-50 too, which takes a minute."""
    import covenant
    from acg.shared import shared_folder
    from covenant.hardware import cache_folder
    from covenant.zoo.quantised import model_file

    files = {"fashion_dscnn": shared_folder("examples") / "fashion_dscnn.onnx"}
    if large:
        files["resnet50"] = model_file("resnet50", cache_folder() / "models")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, file in files.items():
            path = Path(folder, f"{name}.html")
            covenant.Machine("edge16").compile(file).report(path)
            found[name] = path.read_text()
    return found


def _digest(html: str) -> str:
    return hashlib.sha256(f"{WIDTH} {HEIGHT} {SECTIONS}\n{html}".encode()).hexdigest()


def take(name: str, html: str, folder: Path) -> None:
    """Write the pictures of a report as ``folder``/NAME_SECTION.png. Raises RuntimeError for one that is larger than `MOST_BYTES`."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, browser() as page:
        path = Path(scratch, "report.html")
        path.write_text(html)
        page.open(path, width=WIDTH)
        page.evaluate(_POINT)
        for section in SECTIONS if name == "fashion_dscnn" else SECTIONS[:1] + SECTIONS[2:]:  # the same machine
            left, top, width, height = page.evaluate(_BOX % (json.dumps(section), WIDTH))
            data = page.picture((left, top, width, min(height, HEIGHT)))
            if len(data) > MOST_BYTES:
                raise RuntimeError(f"picture {name}_{section}: {len(data)} bytes; expected at most {MOST_BYTES}")
            (folder / f"{name}_{section}.png").write_bytes(data)


def screenshots(folder: Path, *, large: bool = False) -> str:
    """Take what is out of date; returns what was done, in a line."""
    taken_of = folder / "taken_of.json"
    known = json.loads(taken_of.read_text()) if taken_of.exists() else {}
    pages = reports(large=large)
    stale = [name for name, html in pages.items() if known.get(name) != _digest(html)]
    if not stale:
        return "pictures: of these reports, kept"
    if BROWSER is None:
        return f"pictures: kept as they are, though the report of {', '.join(stale)} has changed: no Chromium (apt-get install chromium)"
    for name in stale:
        take(name, pages[name], folder)
    taken_of.write_text(json.dumps(known | {name: _digest(pages[name]) for name in stale}, indent=1, sort_keys=True) + "\n")
    return f"pictures: taken of the report of {', '.join(stale)}"
