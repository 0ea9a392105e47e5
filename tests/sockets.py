"""Sockets of a command and of every process that it started, as /proc shows them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LISTENING = "0A"
TABLES = ("tcp", "tcp6", "udp", "udp6")


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket of the internet's protocols.

    Attributes:
        table: the protocol.
        address: its own.
        port: its own.
        listening: whether others can connect to it; a UDP socket that is not connected takes what anybody sends.
    """

    table: str
    address: IPv4Address | IPv6Address
    port: int
    listening: bool

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        mapped = self.address.ipv4_mapped if isinstance(self.address, IPv6Address) else None
        return (mapped or self.address).is_loopback


def descendants(pid: int) -> list[int]:
    """A process and all that it, and they, started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text(encoding="ascii").split():
                found += descendants(int(child))
        except OSError:  # it has ended
            continue
    return found


def sockets_of(pids: list[int]) -> set[Socket]:
    """The sockets of processes."""
    own = {inode for pid in pids for inode in _inodes(pid)}
    found = set()
    for table in TABLES:
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[9] in own:
                address, port = fields[1].split(":")
                remote = int(fields[2].split(":")[1], 16)
                listening = fields[3] == LISTENING if table.startswith("tcp") else remote == 0
                found.add(Socket(table, _address(address), int(port, 16), listening))
    return found


def _inodes(pid: int) -> list[str]:
    found = []
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.append(target[len("socket:[") : -1])
    except OSError:  # it has ended
        pass
    return found


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address as the kernel writes it: words of four bytes, each in the machine's order."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return ip_address(b"".join(words))
