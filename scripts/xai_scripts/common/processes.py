"""Processes: what they print, how they fail, what they cost."""

import os
import subprocess
import sys
import time

from .paths import SCRIPTS


class Skipped(Exception):
    """What is needed is not to be had here; the message says what."""


class Failed(Exception):
    """A step failed; the message says which, and why."""


def finish(command, limit=None, environment=None):
    """Run a command to its end, whatever that is.

    Returns a `CompletedProcess` with text. One that ran longer than `limit` seconds has the status -1, one that
    was ended by a signal says so in `stderr`; `environment` is added to this process's.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=limit, env=os.environ | (environment or {})
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, -1, "", f"no answer within {limit} s")
    if done.returncode < 0:
        done.stderr += f"\nended by signal {-done.returncode}"
    return done


def output(command):
    """What a command prints; one that fails raises `Failed`."""
    return printed(finish(command))


def printed(done):
    """What a process printed; `Failed` where it failed."""
    if done.returncode != 0:
        raise Failed(reason(done))
    return done.stdout


def run_worker(python, module, *arguments, limit=None):
    """Run the `main` of a module of this package under an interpreter, like `finish`."""
    folders = [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [python, "-m", f"xai_scripts.{module}", *arguments]
    return finish(command, limit, {"PYTHONPATH": os.pathsep.join(folders)})


def reason(done):
    """The line of what a failed process said that tells most."""
    text = done.stderr.strip() or done.stdout.strip()
    marked = [line for line in text.splitlines() if line.startswith(("error:", "ERROR:"))]
    return marked[0].strip() if marked else last_line(text, f"status {done.returncode}")


def last_line(text, otherwise="no message"):
    """The last line that is not empty: of a traceback it says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise


def spend(command):
    """Seconds and peak MiB of one process, whose output is dropped."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{command[0]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def note(text):
    """Tell what is being done, apart from the results."""
    print(text, file=sys.stderr, flush=True)
