"""Takes bytes under a ledger's leases until it is killed; prints, before each, how many it has taken."""

from __future__ import annotations

import sys
from pathlib import Path

from skyhaul_connectors.links.contract.ledger import Ledger

STEP = 10_000


def main() -> None:
    ledger = Ledger(Path(sys.argv[1]))
    cap = int(sys.argv[2]) or None
    taken = since = 0
    left = ledger.settle("sat", "2026-11-01", counted=0, free=0, want=5 * STEP, cap=cap).bytes
    while True:
        if left < STEP:
            left = ledger.settle("sat", "2026-11-01", counted=since, free=0, want=5 * STEP, cap=cap).bytes
            since = 0
            if left < STEP:
                break
        left -= STEP
        since += STEP
        taken += STEP
        print(taken, flush=True)
    ledger.settle("sat", "2026-11-01", counted=since, free=0, want=0, cap=cap)
    ledger.close()


if __name__ == "__main__":
    main()
