"""`python -m tests.golden`: update the stored golden runs.

New rules and families are added. A run whose numbers changed is replaced only if `numerics` of one of its parts was
raised, or a default of its rule was changed. Otherwise nothing is written, and the exit code is 1.
"""

from __future__ import annotations

import sys

import torch

from tests.golden import stored
from tests.golden.runs import CASES


def main() -> int:
    """Run every case and write the file, unless an entry must not be replaced."""
    torch.set_num_threads(1)
    before, after, refused = stored.read(), {}, []
    for name, case in CASES.items():
        numbers, made_with, old = case.run(), case.made_with(), before.get(name)
        if stored.replaceable(old, made_with, numbers):
            same = old is not None and not stored.differences(numbers, old)
            after[name] = {"made_with": made_with, **({**old, "made_with": made_with} if same and old else numbers)}
        else:
            refused.append(name)
            print(f"{name}:", *stored.problems(old, made_with, numbers), sep="\n  ", file=sys.stderr)
    if refused:
        print(f"{len(refused)} of {len(CASES)} runs may not be replaced; nothing was written", file=sys.stderr)
        return 1
    stored.write(after)
    print(f"{len(after)} runs in {stored.FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
