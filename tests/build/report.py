"""What the scripts of this suite share: one line a case, as tests/support/run_cases.py prints it,
and the exit code.
"""

import sys
import traceback

EXIT_SKIPPED = 77


class skip(Exception):
    """Raised by a case that cannot run here; the text says why."""


class check_failed(Exception):
    """Raised by a case whose check failed; the text says what was found and what was expected."""


def expect(condition, text):
    if not condition:
        raise check_failed(text)


def run(cases):
    """Run (name, function) pairs; print PASS, FAIL or SKIP lines; return the exit code."""
    passed = failed = skipped = 0
    for name, function in cases:
        try:
            function()
        except skip as reason:
            skipped += 1
            print(f"SKIP: {name}: {reason}", flush=True)
        except check_failed as reason:
            failed += 1
            print("\n".join("  | " + line for line in str(reason).splitlines()))
            print(f"FAIL: {name}: {str(reason).splitlines()[0]}", flush=True)
        except (
            Exception
        ) as error:  # a fault of the script is a failure, not the end of the other cases
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"FAIL: {name}: {error!r}", flush=True)
        else:
            passed += 1
            print(f"PASS: {name}", flush=True)
    if failed or not passed + skipped:
        return 1
    return 0 if passed else EXIT_SKIPPED
