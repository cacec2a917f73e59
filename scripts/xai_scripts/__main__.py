"""`python -m xai_scripts COMMAND ...` is `scripts/COMMAND ...`; without a command all are listed."""

import sys

from .commands import COMMANDS, listing, start

if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
    sys.exit(print(listing()))
if sys.argv[1] not in COMMANDS:
    sys.exit(f"no such command: {sys.argv[1]}; there are {', '.join(COMMANDS)}")
del sys.argv[0]
start(sys.argv[0])
