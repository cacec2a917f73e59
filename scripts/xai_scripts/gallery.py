"""Try the gallery of xai-explain in a headless Chromium: by mouse, by keyboard, without a network.

    scripts/test_gallery [--screenshots DIR]

Needs `chromium` and `chromedriver` (Debian: apt-get install chromium chromium-driver), and what
`scripts/test` needs. The browser is driven by the WebDriver protocol, with Python's own library.
Ends with 0 where all holds, 1 where something does not, 2 where something is missing.
"""

import argparse
import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from .common import paths, programs

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,850",
]
ENTER, SPACE, DOWN, RIGHT = "\ue007", " ", "\ue015", "\ue014"


class Browser:
    """A WebDriver session with one window."""

    def __init__(self, scratch):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.root = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        flags = [*FLAGS, f"--user-data-dir={scratch}/profile"]
        options = {"binary": shutil.which("chromium"), "args": flags}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL"}
        for _ in range(100):
            try:
                self.call("GET", "/status")
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.root += f"/session/{session['sessionId']}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        header = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.root + path, data, header, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()

    def ask(self, script):
        return self.call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def press(self, *keys):
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keys", "actions": strokes}]
        self.call("POST", "/actions", {"actions": actions})

    def click(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        self.call("POST", f"/element/{next(iter(found.values()))}/click", {})

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))


def make(folder):
    """A gallery of two photos with three targets each; one label tries to be HTML."""
    [program] = programs.build("xai-explain", profile="debug")
    names = (paths.MOBILENET / "labels.txt").read_text().splitlines()
    names[285] = "<script>document.title='broken'</script>"
    (folder / "labels.txt").write_text("\n".join(names))
    shutil.copy(paths.MOBILENET / "chelsea.png", folder / "second & <last>.png")
    photos = [paths.MOBILENET / "chelsea.png", folder / "second & <last>.png"]
    options = ["--targets", "top3", "--labels", folder / "labels.txt", "-o", folder / "out"]
    subprocess.run([program, paths.MOBILENET / "mobilenet_v2.xml", *photos, *options], check=True, cwd=paths.ROOT)
    return folder / "out" / "index.html"


def check(browser, page, shots):
    """Yields what was looked at, and whether it is right."""
    browser.call("POST", "/url", {"url": page.as_uri()})
    opacity = "getComputedStyle(document.querySelector('.heat:not([hidden])')).opacity"
    shown = """[...document.querySelectorAll('#photo-1 .heat')]
        .map(e => getComputedStyle(e).display != 'none')"""
    yield "the labels are text", "mobilenet_v2.xml" in browser.ask("document.title")
    yield "two photos", browser.ask("document.querySelectorAll('article').length") == 2
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    yield "all pictures are loaded", browser.ask(loaded)
    over = """(() => { const [a, b] = [...document.querySelectorAll('#photo-1 .stack img')].map(
        e => e.getBoundingClientRect());
        return Math.abs(a.x - b.x) + Math.abs(a.y - b.y) + Math.abs(a.width - b.width) < 1
            && Math.abs(a.width / a.height - 451 / 300) < 0.02; })()"""
    yield "the heatmap lies on the photo", browser.ask(over)
    yield "the first target is shown", browser.ask(shown) == [True, False, False]
    yield "opacity is as asked for", browser.ask(opacity) == "0.5"
    if shots:
        browser.screenshot(shots / "gallery.png")
    browser.click("#photo-1 label:nth-of-type(2)")
    yield "a click shows the second", browser.ask(shown) == [False, True, False]
    browser.press(DOWN)
    yield "an arrow key shows the third", browser.ask(shown) == [False, False, True]
    browser.press("n")
    yield "n shows the first again", browser.ask(shown) == [True, False, False]
    browser.press("p")
    yield "p goes back", browser.ask(shown) == [False, False, True]
    browser.press("+", "+")
    yield "+ raises the opacity", browser.ask(opacity) == "0.6"
    browser.press("-")
    yield "- lowers it", browser.ask(opacity) == "0.55"
    browser.press("j")
    yield "j goes to the second photo", browser.ask("document.activeElement.id") == "photo-2"
    browser.press(SPACE)
    yield "space hides the heatmap", browser.ask(opacity) == "0"
    browser.press(SPACE)
    yield "and shows it again", browser.ask(opacity) == "0.55"
    browser.press("k")
    yield "k goes back", browser.ask("document.activeElement.id") == "photo-1"
    browser.ask("document.getElementById('opacity').focus()")
    browser.press(RIGHT)
    yield "the slider moves by arrow keys", browser.ask(opacity) == "0.56"
    browser.ask("document.querySelector('summary').focus()")
    browser.press(ENTER)
    yield "the settings open by keyboard", browser.ask("document.querySelector('details').open")
    names = "[...document.querySelectorAll('input')].every(i => i.labels.length > 0)"
    yield "every control has a label", browser.ask(names)
    fetched = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:'))"
    used = browser.ask(f"{fetched}.length")
    yield "nothing was fetched", used == 0
    log = browser.call("POST", "/se/log", {"type": "browser"})
    yield f"the console is empty {log or ''}", not log
    if shots:
        browser.screenshot(shots / "settings.png")
        browser.call("POST", "/window/rect", {"width": 480, "height": 850})
        browser.ask("scrollTo(0, 0)")
        browser.screenshot(shots / "narrow.png")
    narrow = "document.documentElement.scrollWidth <= innerWidth"
    browser.call("POST", "/window/rect", {"width": 480, "height": 850})
    yield "a narrow window needs no scrolling sideways", browser.ask(narrow)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="keep pictures of the page")
    arguments = parser.parse_args()
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            print(f"{program} is not there; Debian: apt-get install chromium chromium-driver")
            return 2
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        page = make(Path(scratch))
        browser = Browser(scratch)
        try:
            for what, holds in check(browser, page, arguments.screenshots):
                print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
                failed += not holds
        finally:
            browser.close()
    return 1 if failed else 0
