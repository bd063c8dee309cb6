"""An emulator of the Google Analytics Data API v1beta on loopback: real messages, limits, quota, error texts.

Extend it: a field is a row in `fields.py`, a breakdown a function in `shares.py`, a fault one in `faults.py`.
"""

from steadfast.demo.ga4.emulator import Emulator, EmulatorOptions, run_emulator
from steadfast.demo.ga4.faults import Fault

__all__ = ["Emulator", "EmulatorOptions", "Fault", "run_emulator"]
