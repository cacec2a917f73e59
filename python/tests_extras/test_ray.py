"""Datasets on a local Ray cluster of two workers."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, same_tables
from PIL import Image

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.open(PHOTO).convert("RGB")
    for index in range(24):
        photo.crop((8 * index, 0, 8 * index + 250, 250)).save(folder / f"{index:02}.png")
    return folder


def actors():
    """Processes that explain; Ray names its workers after what they do."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"MapBatches(Actor)" in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_two_workers_give_what_one_process_gives(cluster, photos, tmp_path):
    options = {"part_size": 4, "targets": "top2"}
    here = xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "here", **options)
    there = xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "there", ray=True, workers=2, **options)
    assert (here.photos, here.maps, there.parts) == (24, 48, 6)
    assert there.maps == here.maps and not there.errors
    assert same_tables(there.table(), here.table())


def test_a_killed_worker_loses_nothing(cluster, photos, tmp_path):
    options = {"part_size": 2, "method": "rise", "masks": 60}
    expected = xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "here", **options)
    out = tmp_path / "out"
    killed = []

    def kill(done, total):
        if not killed and len(found := actors()) == 2:
            os.kill(found[0], signal.SIGKILL)
            killed.append(done)

    report = xai_insert.explain_dataset(photos, MOBILENET, out, ray=True, workers=2, progress=kill, **options)
    assert killed and killed[0] < 24, "no worker was there to be killed while there was work"
    assert (report.parts, report.maps, report.errors) == (12, 24, {})
    assert same_tables(report.table(), expected.table())
    assert not list(out.glob(".*"))


def test_a_cluster_resumes_what_a_process_began(cluster, photos, tmp_path):
    out = tmp_path / "out"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xai_insert.explain_dataset(photos, MOBILENET, out, part_size=4, progress=stop)
    report = xai_insert.explain_dataset(photos, MOBILENET, out, part_size=4, ray=True, workers=2)
    assert (report.parts, report.resumed, report.maps) == (5, 1, 24)


def test_a_model_in_memory_and_functions(cluster, photos, tmp_path):
    model = ov.Core().read_model(MOBILENET)

    def prepare(pixels):
        resized = Image.fromarray(pixels).resize((224, 224))
        return (np.asarray(resized, np.float32).transpose(2, 0, 1)[None] - 120) / 58

    two = sorted(photos.iterdir())[:2]
    out = tmp_path / "out"
    report = xai_insert.explain_dataset(two, model, out, ray=True, workers=1, preprocess_fn=prepare)
    assert report.maps == 2 and not list(out.glob(".*"))
    here = xai_insert.explain_dataset(two, model, tmp_path / "here", preprocess_fn=prepare)
    assert same_tables(report.table(), here.table())


def test_errors_are_those_of_the_family(cluster, photos, tmp_path):
    with pytest.raises(xai_insert.UsageError, match="did you mean"):
        xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "out", ray=True, targets="tabbi")

    def fail(outputs):
        raise xai_insert.ModelError("mine")

    with pytest.raises(xai_insert.ModelError, match="mine"):
        xai_insert.explain_dataset(photos, MOBILENET, tmp_path / "other", ray=True, postprocess_fn=fail)
    assert not list((tmp_path / "other").glob("*.parquet"))
