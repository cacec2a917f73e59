"""What `scripts/` runs: makers of models, sweeps and measurements, each a command.

- `commands`: the table of commands, and how one is started.
- `common`: what commands share and what needs the standard library only: the repository's folders, its programs,
  environments, processes, measuring in turn, Markdown tables.
- `torch_models`: PyTorch models with random weights, and their conversion.
- A module or a folder for each command. In a folder `command.py` reads the command line. What runs in another
  process, often under another interpreter, is a module of its own, with `main` and no options.

A command line is read before PyTorch or OpenVINO is imported, so that `--help` needs neither.

A new command is its module or folder here, a line of `commands.COMMANDS`, and an entry of that name in `scripts/`.
"""
