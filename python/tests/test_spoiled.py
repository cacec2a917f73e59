"""The checks bite: results that are right are spoiled, one thing at a time, and each time a check has to fail."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xai_insert
from conftest import small

Spoil = Callable[[str], str]


def entry(name: str, value: str) -> Spoil:
    """Another value of an entry of the record."""

    def spoil(text: str) -> str:
        spoiled, count = re.subn(rf'(<{name} value=")[^"]*(")', rf"\g<1>{value}\g<2>", text)
        assert count == 1, name
        return spoiled

    return spoil


def without(*names: str) -> Spoil:
    """The record without some entries."""

    def spoil(text: str) -> str:
        for name in names:
            text, count = re.subn(rf'\s*<{name} value="[^"]*"\s*/>', "", text)
            assert count == 1, name
        return text

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(text: str) -> str:
        for one in spoils:
            text = one(text)
        return text

    return spoil


def layer(name: str, before: str, after: str) -> Spoil:
    """An added layer that does something else."""

    def spoil(text: str) -> str:
        start = text.index(f'name="xai/{name}"')
        end = text.index("</layer>", start)
        part = text[start:end]
        assert before in part, part
        return text[:start] + part.replace(before, after, 1) + text[end:]

    return spoil


RELU = "__module.trunk.1.2/aten::relu/Relu"
CNN = "cnn_static"
VIT = "vit_cls"
YOLO = "det_yolov8"
PRODUCT = "det_yolov5_product"
REGION = "det_yolov3_region"
SSD = "det_ssd"

# What is spoiled: a fixture, what is wrong with the result, how it is made, and the check that has to fail.
SPOILED: list[tuple[str, str, Spoil, str]] = [
    (CNN, "rows upside down", entry("rows", "axis 2, offset 31, step -8"), "place"),
    (CNN, "columns mirrored", entry("columns", "axis 3, offset 47, step -8"), "place"),
    (CNN, "columns counted from the end", entry("columns", "axis 3, offset 0 from the end, step 8"), "place"),
    (
        CNN,
        "transposed",
        both(entry("rows", "axis 3, offset 0, step 8"), entry("columns", "axis 2, offset 0, step 8")),
        "place",
    ),
    (CNN, "a part that was cut away", entry("columns", "axis 3, offset 16, step 8"), "place"),
    (CNN, "rows two steps off", entry("rows", "axis 2, offset -16, step 8"), "place"),
    (CNN, "rows at half their distance", entry("rows", "axis 2, offset 0, step 4"), "place"),
    (CNN, "columns at twice their distance", entry("columns", "axis 3, offset 0, step 16"), "place"),
    (CNN, "an input that is not there", entry("input", "other"), "place"),
    (CNN, "the map before", both(entry("target", RELU), entry("grid", "8x12")), "saliency"),
    (CNN, "classes in another order", entry("targets", "1,0,2,3,4"), "saliency"),
    (CNN, "the next class", entry("targets", "1,2,3,4,0"), "saliency"),
    (CNN, "some of the classes", entry("targets", "top3"), "saliency"),
    (CNN, "another method", entry("method", "activationmap"), "saliency"),
    (CNN, "no scaling", both(entry("scaling", "false"), entry("saliency_type", "f32")), "saliency"),
    (CNN, "another type", entry("saliency_type", "f16"), "saliency"),
    (CNN, "another output", entry("output", "logits"), "saliency"),
    (CNN, "scaled by what is largest", layer("scale/min", "ReduceMin", "ReduceMax"), "saliency"),
    (CNN, "sums for differences", layer("scale/above", "Subtract", "Add"), "saliency"),
    ("cnn_softmax", "probabilities", entry("logits", "__module.activation/aten::softmax/Softmax"), "meaning"),
    (VIT, "masks of one position", entry("mask", "single"), "saliency"),
    (VIT, "class tokens blanked", entry("class_token", "false"), "saliency"),
    (VIT, "norms not masked", without("masked_1", "masked_1_layout"), "saliency"),
    (VIT, "another block", entry("target", "aten::add/Add"), "saliency"),
    (VIT, "a transposed grid", entry("grid", "6x4"), "saliency"),
    (
        PRODUCT,
        "the channels before",
        both(entry("scale_1_fields", "4..9"), entry("scale_2_fields", "4..9")),
        "meaning",
    ),
    (PRODUCT, "objectness for a class", entry("objectness_1_fields", "5..6"), "meaning"),
    (YOLO, "one of the scales", without(*(f"scale_2{part}" for part in ("", "_layout", "_grid"))), "saliency"),
    (PRODUCT, "no objectness", without("objectness_1", "objectness_2"), "saliency"),
    (PRODUCT, "another activation", entry("scale_1_activation", "softmax"), "saliency"),
    (REGION, "coordinates for classes", both(entry("scale_1_fields", "0..5"), entry("scale_2_fields", "0..5")), "saliency"),
    (REGION, "anchors for fields", entry("scale_1_layout", "N,K10*A3,H,W"), "saliency"),
    (SSD, "a mirrored scale", entry("scale_1_columns", "axis 3, offset 95, step -8"), "place"),
    (SSD, "the other scale's place", entry("scale_1_rows", "axis 2, offset 0, step 16"), "place"),
]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The right result for a fixture, inserted and verified once."""
    folder, made = tmp_path_factory.mktemp("right"), {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = folder / f"{name}.xml"
            xai_insert.insert(small(name)).write(made[name])
            report = xai_insert.verify(small(name), made[name])
            assert report, report
        return made[name]

    return make


@pytest.mark.parametrize(("name", "wrong", "spoil", "check"), SPOILED, ids=[f"{n}: {w}" for n, w, *_ in SPOILED])
def test_what_is_spoiled_is_found(right, tmp_path: Path, name: str, wrong: str, spoil: Spoil, check: str) -> None:
    source = right(name)
    spoiled = tmp_path / "spoiled.xml"
    shutil.copy(source.with_suffix(".bin"), spoiled.with_suffix(".bin"))
    spoiled.write_bytes(spoil(source.read_bytes().decode()).encode())
    report = xai_insert.verify(small(name), spoiled)
    assert report.outcome == "failed", f"{wrong}: {report}"
    assert report.checks[check].outcome == "failed", f"{wrong}: {report}"


def test_there_are_enough_of_them() -> None:
    assert len(SPOILED) >= 30
