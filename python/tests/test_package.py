"""What the wheel brings: commands, types, metadata."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xai_insert
from conftest import ROOT, command, small
from xai_insert import _native


@pytest.mark.parametrize("name", ["xai-explain", "xai-insert", "xai-verify"])
def test_commands_are_there(name):
    version = command(name, "--version")
    assert (version.returncode, version.stdout) == (0, f"{name} {xai_insert.__version__}\n")
    assert f"Usage: {name} " in command(name, "--help").stdout
    wrong = command(name, "--no-such-option")
    assert wrong.returncode == 2 and "--no-such-option" in wrong.stderr


def test_exit_status_of_commands(tmp_path):
    assert command("xai-insert", small("segmentation"), "--dry-run").returncode == 1
    assert command("xai-insert", small("cnn_static"), "-o", tmp_path / "out.xml").returncode == 0
    assert command("xai-verify", small("cnn_static"), tmp_path / "out.xml").returncode == 0


def test_version_is_the_crate_s():
    crate = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert xai_insert.__version__ == importlib.metadata.version("xai-insert") == crate


def test_types_list_the_names_that_are_read():
    """`Literal` of an option against what the message about a wrong name lists."""
    model, listed = small("cnn_static"), 0
    for name, kind in xai_insert.ExplainOptions.__annotations__.items():
        text = kind if isinstance(kind, str) else kind.__forward_arg__
        if not text.startswith("Literal["):
            continue
        with pytest.raises(xai_insert.UsageError) as failed:
            xai_insert.Explainer(model, **{name: "no such"})
        found = re.search(r"give (.+?), not ", str(failed.value))[1]
        assert set(re.split(", | or ", found)) == set(re.findall(r"'(.+?)'", text)), name
        listed += 1
    assert listed > 5


def test_messages_name_what_there_is():
    """Every setting of a message is a keyword, or a function of the package."""
    keywords = {"overwrite"} & set(inspect.signature(xai_insert.insert_xai).parameters)
    for options in (xai_insert.BranchOptions, xai_insert.ExplainOptions, xai_insert.VerifyOptions):
        keywords |= set(options.__annotations__)
    keywords |= {"targets"} & set(inspect.signature(xai_insert.explain).parameters)
    settings = _native.settings()
    assert len(settings) > 30
    for setting, shown in settings:
        name, rest = re.fullmatch(r"`(\w+)(.*)`", shown).groups()
        known = callable(getattr(xai_insert, name, None)) if rest == "()" else name in keywords
        assert known, f"{setting} is called {shown}"


def test_numpy_is_all_that_is_needed():
    needed = [line for line in importlib.metadata.requires("xai-insert") if "extra ==" not in line]
    assert len(needed) == 1 and needed[0].startswith("numpy")


def test_types_are_shipped():
    """The package is installed, not found in the sources, and what it exports is annotated."""
    folder = Path(xai_insert.__file__).parent
    assert ROOT / "python" not in folder.parents
    assert (folder / "py.typed").exists() and (folder / "_native.pyi").exists()
    for name in xai_insert.__all__:
        thing = getattr(xai_insert, name)
        if inspect.isfunction(thing):
            for parameter in inspect.signature(thing).parameters.values():
                assert parameter.annotation is not parameter.empty, f"{name}({parameter})"


def test_the_stub_lists_what_the_native_part_has():
    stub = (Path(xai_insert.__file__).parent / "_native.pyi").read_text()
    declared = set(re.findall(r"^(?:def|class) (\w+)|^(__version__)", stub, re.MULTILINE))
    declared = {name or other for name, other in declared}
    assert declared == {name for name in dir(_native) if not name.startswith("__")} | {"__version__"}


def test_the_tutorial_runs(tmp_path):
    """The steps of `openvino_xai`'s deep dive, which assert what they show."""
    script = ROOT / "python/examples/deep_dive.py"
    found = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "labels/chelsea_EGYPTIAN_CAT_overlay.png").exists()
