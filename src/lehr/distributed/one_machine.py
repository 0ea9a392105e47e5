"""Torch's elastic launcher for processes of one machine, without a port, which is not needed on one machine.

The launcher's own rendezvous, c10d, listens on every interface, asks for no password, and runs what it finds there
(it unpickles it).
"""

from __future__ import annotations

from torch.distributed import HashStore  # type: ignore[attr-defined]  # missing in its stubs
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

BACKEND = "lehr-one-machine"


class OneMachine(RendezvousHandler):
    """The rendezvous of a launcher that has no other to meet.

    Args:
        run_id: name of the run.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def get_backend(self) -> str:
        """Return the name by which the launcher knows this rendezvous."""
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """Return the launcher's place among launchers, with a store in its own memory for each start of processes."""
        nobody = RendezvousStoreInfo("localhost", 0)  # in the processes' environment, where nothing reads it
        return RendezvousInfo(HashStore(), 0, 1, nobody)

    def is_closed(self) -> bool:
        """Return False: it ends with the launcher."""
        return False

    def set_closed(self) -> None:
        """Do nothing: it ends with the launcher."""

    def num_nodes_waiting(self) -> int:
        """Return 0: no process can join later."""
        return 0

    def get_run_id(self) -> str:
        """Return the name of the run."""
        return self._run_id

    def shutdown(self) -> bool:
        """Return True: nothing is open."""
        return True


def _create(parameters: RendezvousParameters) -> RendezvousHandler:
    return OneMachine(parameters.run_id)


rendezvous_handler_registry.register(BACKEND, _create)
