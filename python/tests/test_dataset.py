"""Datasets in one process: parts, resumption, errors. Ray is tested by scripts/test_python_extras."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, same_tables, small
from PIL import Image

pytest.importorskip("pyarrow")


@pytest.fixture
def photos(tmp_path):
    """Five crops of a photo, one of them below, and a file that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    photo = Image.open(PHOTO).convert("RGB")
    for index in range(5):
        name = f"more/{index}.png" if index == 4 else f"{index}.png"
        photo.crop((20 * index, 0, 20 * index + 250, 250)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def test_rows(photos, tmp_path):
    report = xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "out", part_size=4, targets="top2")
    assert (report.photos, report.parts, report.resumed, report.maps) == (6, 2, 0, 10)
    assert list(report.errors) == ["broken.jpg"] and "no image" in report.errors["broken.jpg"]
    rows = report.table().to_pylist()
    names = ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png", "3.png", "3.png", "broken.jpg", "more/4.png", "more/4.png"]
    assert [row["photo"] for row in rows] == names
    explanation = xai_insert.explain(MOBILENET, photos / "2.png", targets="top2")
    for row, target in zip(rows[4:6], explanation.targets, strict=True):
        assert (row["class"], row["label"]) == (target.class_id, target.label)
        assert row["score"] == pytest.approx(target.score, abs=1e-5)
        map = np.float32(row["map"]).reshape(row["height"], row["width"])
        np.testing.assert_allclose(map, target.map, atol=0.05)


def test_what_is_there_is_kept(photos, tmp_path):
    out = tmp_path / "out"
    whole = xai_insert.explain_dataset(photos, MOBILENET, out, part_size=2).table()
    first, second, third = sorted(out.glob("part-*.parquet"))
    kept = first.stat().st_mtime_ns
    second.unlink()
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (out / f".part-00001.parquet.{socket.gethostname()}.{gone.stdout.strip()}.tmp").write_bytes(b"half")
    seen = []
    report = xai_insert.explain_dataset(
        photos, MOBILENET, out, part_size=2, progress=lambda *now: seen.append(now)
    )
    assert (report.parts, report.resumed, seen) == (1, 2, [(6, 6)])
    assert first.stat().st_mtime_ns == kept
    assert same_tables(report.table(), whole)
    assert sorted(path.name for path in out.iterdir()) == ["dataset.json", first.name, second.name, third.name]


def test_an_interrupted_run_goes_on(photos, tmp_path):
    out = tmp_path / "out"
    whole = xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "whole", part_size=2).table()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xai_insert.explain_dataset(photos, MOBILENET, out, part_size=2, progress=stop)
    assert len(list(out.glob("part-*.parquet"))) == 1
    report = xai_insert.explain_dataset(photos, MOBILENET, out, part_size=2)
    assert (report.parts, report.resumed) == (2, 1)
    assert same_tables(report.table(), whole)


def test_another_dataset_is_not_mixed_in(photos, tmp_path):
    out = tmp_path / "out"
    xai_insert.explain_dataset(photos, MOBILENET, out)
    for change in ({"part_size": 3}, {"targets": "top3"}, {"postprocess_fn": lambda outputs: outputs[0]}):
        with pytest.raises(xai_insert.UsageError, match="another dataset"):
            xai_insert.explain_dataset(photos, MOBILENET, out, **change)
    with pytest.raises(xai_insert.UsageError, match=r"another dataset.*\(model differ"):
        xai_insert.explain_dataset(photos, small("cnn_static"), out)
    kept = (photos / "0.png").stat()
    os.utime(photos / "0.png", ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))
    with pytest.raises(xai_insert.UsageError, match="photos"):
        xai_insert.explain_dataset(photos, MOBILENET, out)
    os.utime(photos / "0.png", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert xai_insert.explain_dataset(photos, MOBILENET, out).resumed == 1
    (out / "dataset.json").write_text("{")
    with pytest.raises(xai_insert.UsageError, match="cannot be read"):
        xai_insert.explain_dataset(photos, MOBILENET, out)
    (out / "dataset.json").unlink()
    with pytest.raises(xai_insert.UsageError, match="without a dataset.json"):
        xai_insert.explain_dataset(photos, MOBILENET, out)


def test_functions_and_labels(photos, tmp_path):
    """Functions see every photo, and labels are those that are given."""
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"n{index}\n" for index in range(1000)))
    shapes = []

    def prepare(pixels):
        shapes.append(pixels.shape)
        resized = Image.fromarray(pixels).resize((224, 224))
        return (np.asarray(resized, np.float32).transpose(2, 0, 1)[None] - 120) / 58

    report = xai_insert.explain_dataset(
        photos, MOBILENET, tmp_path / "out", preprocess_fn=prepare, labels=labels, explain_method="reciprocam"
    )
    rows = [row for row in report.table().to_pylist() if row["error"] is None]
    assert shapes == [(250, 250, 3)] * 5
    assert len(rows) == 5 and all(row["label"] == f"n{row['class']}" for row in rows)
    assert list(report.errors) == ["broken.jpg"]


def test_a_mistake_spoils_nothing(photos, tmp_path):
    """What could not begin leaves a folder that can be used."""
    out = tmp_path / "out"
    for wrong in ({"targets": ["tabbi"]}, {"model": small("mlp_only"), "mode": "white-box"}, {"part_size": 2.5}):
        with pytest.raises(xai_insert.XaiInsertError):
            xai_insert.explain_dataset(photos, **{"model": MOBILENET, "out": out, **wrong})
    assert xai_insert.explain_dataset(photos, MOBILENET, out, targets=iter([281, 285])).maps == 10
    assert xai_insert.explain_dataset(photos, MOBILENET, out, targets=np.array([281, 285])).resumed == 1
    (part,) = out.glob("part-*.parquet")
    part.write_bytes(b"PAR1")
    with pytest.raises(xai_insert.FileError, match="remove it"):
        xai_insert.read_dataset(out)


def test_wrong_requests(photos, tmp_path):
    for wrong, message in (
        ({"workers": 2}, "ray=True"),
        ({"part_size": 0}, "1 or more"),
        ({"targets": "tabbi"}, "did you mean"),
    ):
        with pytest.raises(xai_insert.UsageError, match=message):
            xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "out", **wrong)
    with pytest.raises(xai_insert.UsageError, match="no folder"):
        xai_insert.explain_dataset(tmp_path / "nowhere", MOBILENET, tmp_path / "out")
    with pytest.raises(xai_insert.UsageError, match="holds no photos"):
        xai_insert.explain_dataset([], MOBILENET, tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(xai_insert.FileError, match="file"):
        xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "file/out")
    with pytest.raises(xai_insert.UsageError, match="holds no parts"):
        xai_insert.read_dataset(tmp_path)
    if importlib.util.find_spec("ray") is None:
        with pytest.raises(xai_insert.UsageError, match=r"xai-insert\[ray\]"):
            xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "cluster", ray=True)
