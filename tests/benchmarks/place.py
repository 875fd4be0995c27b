"""Where the benchmark ran: the line above the table, without which its numbers say little."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.processes import Report, call

PACKAGES = ("tensorflow", "keras", "tf-keras")


def describe() -> str:
    """Return one line on the machine, what it computes on, how busy it was, and the versions."""
    devices = call("benchmarks.place:gpus")
    computes = f"computing on {', '.join(devices)}" if devices else "computing on the processor, no GPU"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"Measured on {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {computes}; "
        f"load when it began {load:.1f}. Python {platform.python_version()}, {_versions()}."
    )


def gpus(report: Report) -> None:
    """Report the names of the GPUs that TensorFlow finds."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    report([str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in devices])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.machine()


def _versions() -> str:
    installed = []
    for name in PACKAGES:
        for flavour in (name, f"{name}-cpu"):
            try:
                installed.append(f"{name} {version(flavour)}")
                break
            except ImportError:
                continue
    return ", ".join(installed)
