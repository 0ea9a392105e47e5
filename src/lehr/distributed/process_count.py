"""Count of a run's processes, by its options alone: read where torch is not loaded."""

from __future__ import annotations

from lehr.distributed.environment import world
from lehr.errors import InputError
from lehr.options import DeviceOptions


def processes_here(options: DeviceOptions) -> int:
    """Count the processes that a command starts on this machine; 1 if it trains alone.

    Raises:
        InputError: devices and processes do not fit together.
    """
    names = device_names(options.device)
    if len(set(names)) < len(names):
        raise InputError(f"--device {options.device}: names a device twice.")
    if options.parallel == "dp":
        if (options.processes or 1) > 1:
            raise InputError("--parallel dp: is one process for all devices; omit --processes, or use ddp.")
        return 1
    if len(names) > 1 and options.processes not in (None, len(names)):
        raise InputError(
            f"--device {options.device}: names {len(names)} devices for {options.processes} processes. Omit "
            "--processes: there is one per device."
        )
    return len(names) if len(names) > 1 else options.processes or 1


def trains_together(options: DeviceOptions) -> bool:
    """Return whether a run has several processes: those that a launcher started, else those that a command starts."""
    if world().launched:
        return world().count > 1
    try:
        return processes_here(options) > 1
    except InputError:  # the run itself reports it
        return True


def device_names(devices: str) -> list[str]:
    """Split the value of `--device` into the names of its devices."""
    return [name.strip().lower() for name in devices.split(",")]
