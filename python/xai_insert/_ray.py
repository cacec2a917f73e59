"""Datasets on Ray: parts go through `map_batches`, with one compiled model per actor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._parts import Part, Worker
from .errors import UsageError, XaiInsertError

if TYPE_CHECKING:
    import numpy as np


class Actor(Worker):
    """A worker as Ray Data calls it: a batch is a part as JSON."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        (part,) = (Part(*json.loads(part)) for part in batch["part"])
        raised = None
        try:
            self.explain(part)
        except Exception as error:
            # Ray would hand over the text alone.
            raised = _pickled(error)
        return {"part": [part.index], "raised": [raised]}


def _pickled(error: Exception) -> bytes:
    from ray import cloudpickle

    try:
        pickled = cloudpickle.dumps(error)
        cloudpickle.loads(pickled)
    except Exception:
        return cloudpickle.dumps(XaiInsertError(f"{type(error).__name__}: {error}"))
    return pickled


def run(parts: list[Part], arguments: tuple[Any, ...], workers: int | None) -> Iterator[int]:
    """Does the work on the cluster at hand, or on a local one; yields parts as they are done."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(f"ray=True needs Ray ({error}); install it: pip install 'xai-insert[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    if workers is None:
        # A model uses more than one core, and one that waits for photos leaves them idle.
        workers = max(int(ray.cluster_resources().get("CPU", 1)) // 2, 1)
    rows = [{"part": json.dumps(part)} for part in parts]
    # What a killed actor had at work is done again: Ray Data restarts actors and repeats their tasks without end,
    # and a part may be written twice. A batch is a part, so that no more than one is lost.
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Actor,
        fn_constructor_args=arguments,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(parts))),
    )
    missing = {part.index for part in parts}
    try:
        for row in done.iter_rows():
            if row["raised"] is not None:
                raise ray.cloudpickle.loads(row["raised"])
            missing.discard(row["part"])
            yield row["part"]
    except ray.exceptions.RayError as error:
        raise XaiInsertError(f"Ray stopped: {error}; the same call resumes") from error
    if missing:
        raise XaiInsertError(f"Ray gave nothing back for parts {sorted(missing)}; the same call resumes")
