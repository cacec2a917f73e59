"""Verification, and how long calls behave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, command, python, small


def test_a_good_model_passes(tmp_path):
    path = xai_insert.insert(MOBILENET, targets="top3", feature_vector=True).write(tmp_path / "explained.xml")
    report = xai_insert.verify(MOBILENET, path, image=PHOTO, bench=True)
    assert report and report.outcome == "passed"
    assert list(report.checks) == ["structure", "outputs", "saliency", "feature_vector", "meaning", "place", "cost"]
    assert all(report.checks.values())
    assert report.checks["saliency"].figures["maps"] == 3
    assert report.checks["cost"].figures["ratio"] > 0
    assert repr(report).startswith("<VerificationReport passed: structure passed, ")
    assert "saliency    ok: 3 maps" in str(report) and "saliency    ok" in report._repr_html_()
    report.raise_unless_passed()


def test_a_bad_model_fails_with_the_command_s_words(tmp_path):
    path = xai_insert.insert(small("cnn_static")).write(tmp_path / "explained.xml")
    # Another model's weights, of the same size: outputs and maps are not what they were.
    weights = bytearray(path.with_suffix(".bin").read_bytes())
    weights[:64] = bytes(64)
    path.with_suffix(".bin").write_bytes(weights)
    report = xai_insert.verify(small("cnn_static"), path)
    assert not report and report.outcome == "failed"
    assert "byte" in report.checks["structure"].problems[0]
    with pytest.raises(xai_insert.VerificationError) as caught:
        report.raise_unless_passed()
    assert caught.value.report == report
    found = command("xai-verify", small("cnn_static"), path)
    assert (found.returncode, found.stdout) == (1, str(report))


def test_models_in_memory_are_checked_on_insertion(monkeypatch):
    model = ov.Core().read_model(small("cnn_static"))
    assert xai_insert.insert(model).verify(samples=1)
    assert xai_insert.insert_xai(model, verify=True).output("saliency_map")
    monkeypatch.setenv("OPENVINO_LIB", "/nowhere")
    with pytest.raises(xai_insert.VerificationError, match="not checked: .*/nowhere|/nowhere"):
        xai_insert.insert_xai(model, verify=True)
    with pytest.raises(xai_insert.UsageError, match="insert"):
        xai_insert.verify(model, model)


def test_other_threads_run_meanwhile(tmp_path):
    path = xai_insert.insert(MOBILENET).write(tmp_path / "explained.xml")
    ticks = 0
    done = threading.Event()

    def tick():
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    assert xai_insert.verify(MOBILENET, path, samples=1)
    seconds = time.monotonic() - begun
    done.set()
    thread.join()
    assert ticks > 20 * seconds


LONG = """
import sys, xai_insert
print("begun", flush=True)
try:
    xai_insert.verify(*sys.argv[1:], samples=400)
except KeyboardInterrupt:
    sys.exit(77)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_a_long_call(tmp_path):
    path = xai_insert.insert(MOBILENET).write(tmp_path / "explained.xml")
    given = [sys.executable, "-c", LONG, str(MOBILENET), str(path)]
    with subprocess.Popen(given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            time.sleep(1)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            assert process.wait(60) == 77
            assert time.monotonic() - begun < 20
        finally:
            process.kill()


WITHOUT = """
import sys
sys.modules["openvino"] = None
import xai_insert
xai_insert.insert_xai(sys.argv[1], output_file=sys.argv[2])
try:
    xai_insert.insert_xai(sys.argv[1])
except xai_insert.OpenVinoError as error:
    print(error)
assert "numpy" not in sys.modules
"""


def test_openvino_is_not_needed_for_files(tmp_path):
    found = python(WITHOUT, MOBILENET, tmp_path / "explained.xml")
    assert found.returncode == 0, found.stderr
    assert "pip install openvino" in found.stdout
    assert (tmp_path / "explained.bin").stat().st_size > MOBILENET.with_suffix(".bin").stat().st_size
