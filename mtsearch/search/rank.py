"""One process of a trial that has several workers; started, told what to do and ended by :mod:`mtsearch.search.ranks`.

It is sent an assignment and the number of its attempt, and says that it is ``done``, or how it ``failed``. The first
process passes on what is said of each evaluation, and is told each time whether to go on; the others wait for it there.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
import threading
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, cast

from mtsearch.search.faults import cause_of, reason_of
from mtsearch.search.trial import Assignment, free_memory, logged, train

__all__ = ["main"]

logger = logging.getLogger(__name__)


def main() -> None:
    """Run trials until the parent ends."""
    descriptor, rank, num_ranks = map(int, sys.argv[1:4])
    device, meeting_place = cast(Literal["cpu", "cuda"], sys.argv[4]), Path(sys.argv[5])
    os.set_inheritable(descriptor, False)
    pipe: Connection[Any, Any] = Connection(descriptor)
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders, meeting_place.parent), daemon=True).start()
    logging.captureWarnings(True)
    is_joined = False
    while True:
        values, number = orders.get()
        assignment = Assignment.from_ray(values)
        folder = Path(assignment.run_folder) / assignment.place / f"attempt-{number}"
        with logged(folder / (f"log-{rank + 1}.txt" if rank else "log.txt")):
            try:
                if not is_joined:
                    # Here, not above: whatever is wrong with these is then told as the trial's reason.
                    from mtsearch.training.ranks import join

                    join(rank, num_ranks, device, meeting_place)
                    is_joined = True
                with closing(train(assignment, number)) as results:
                    for result in results:
                        if rank == 0:
                            pipe.send(("said", result))
                            if not orders.get():
                                break
            except Exception as error:
                logger.exception("the trial failed in process %d of %d", rank + 1, num_ranks)
                pipe.send(("failed", (cause_of(error), reason_of(error))))
                continue  # to wait for the end
        free_memory()
        if not gc.get_freeze_count():
            gc.freeze()  # as in Trial.reset_config
        pipe.send(("done", None))


def _listen(pipe: Connection[Any, Any], orders: SimpleQueue[Any], folder: Path) -> None:
    """Take orders as they come, also while the trial runs; the process ends with the parent, whatever it does then."""
    try:
        while True:
            orders.put(pipe.recv())
    except (EOFError, OSError):
        shutil.rmtree(folder, ignore_errors=True)  # what the parent did not come to
        os._exit(1)


if __name__ == "__main__":
    main()
