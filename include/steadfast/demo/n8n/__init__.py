"""An emulator of n8n on loopback: workflows that post events as n8n does, its executions, its public API.

Extend it: a kind of event is a function in `events.py`, a control address a case in `control.py`.
"""

from steadfast.demo.n8n.emulator import Emulator, EmulatorOptions, run_emulator
from steadfast.demo.n8n.targets import Target, read_targets

__all__ = ["Emulator", "EmulatorOptions", "Target", "read_targets", "run_emulator"]
