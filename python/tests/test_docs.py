"""Python in README.md and docs/python.md runs as it stands."""

from __future__ import annotations

import re
import shutil

import pytest
from conftest import MOBILENET, PHOTO, ROOT, command, onnx_model
from PIL import Image

# A block that needs what is not installed for the tests has a comment in front that says so.
_BLOCK = re.compile(r"^(<!-- not run: .* -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    found = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [block for skipped, block in found if not skipped]


def run_all(page: str) -> dict[str, object]:
    """Runs the blocks of a page one after the other, as a reader would; returns what they defined."""
    names: dict[str, object] = {}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def test_readme_draws_its_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(MOBILENET.parent, "fixtures/mobilenet_v2")
    inserted = command("xai-insert", "fixtures/mobilenet_v2/mobilenet_v2.xml", "-o", "mobilenet_v2_xai.xml")
    assert inserted.returncode == 0, inserted.stderr
    names = run_all("README.md")
    assert names["best"] == 285
    assert names["heat"].shape == (7, 7)
    with Image.open("overlay.png") as drawn, Image.open(PHOTO) as photo:
        assert drawn.size == photo.size


def test_the_page_on_python_runs(tmp_path, monkeypatch):
    assert len(blocks("docs/python.md")) >= 3
    monkeypatch.chdir(tmp_path)
    for kind in ("xml", "bin"):
        shutil.copy(MOBILENET.with_suffix(f".{kind}"), f"model.{kind}")
    onnx_model("model.onnx")
    (tmp_path / "photos").mkdir()
    with Image.open(PHOTO) as photo:
        for path in ("photo.jpg", "photos/cat.jpg"):
            photo.convert("RGB").save(path)
    names = run_all("docs/python.md")
    assert (tmp_path / "onnx_xai.xml").exists()
    assert (tmp_path / "out/photo_Egyptian_cat_overlay.png").exists()
    assert names["report"].maps == 2 and names["table"].num_rows == 2


@pytest.mark.parametrize("name", ["insert_xai", "Explainer", "explain", "explain_dataset"])
def test_keywords_of_tables_are_there(name):
    """What the tables call a function's parameters are its parameters."""
    import inspect

    import xai_insert

    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    shown = re.findall(rf"`{name}\(([^)`]*)\)", page)
    assert shown
    known = inspect.signature(getattr(xai_insert, name)).parameters
    for signature in shown:
        assert set(re.findall(r"[a-z_]+", signature)) <= set(known), signature
