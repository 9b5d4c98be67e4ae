#!/usr/bin/env python3
"""outlive torture kills, counts, judges and cleans up, and its check is able to fail.

Usage: torture_test.py OUTLIVE BANK_WORKER"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import report
from tool import TOOL, path_of, segment_name

WORKER = os.path.abspath(sys.argv[2])
SECONDS = 120  # for one run


def start(*arguments, stderr=subprocess.PIPE):
    """The tool in a session of its own, by which its workers are found, too."""
    return subprocess.Popen(
        [TOOL, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def session(leader):
    """The processes of the session that are no zombies."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                state, _, _, its_session = (
                    (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                )
                if int(its_session) == leader and state != "Z":
                    found.append(int(entry.name))
    return found


def wait_for(condition, what):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise report.check_failed(f"not within 30 s: {what}")


def finish(process):
    """(exit code, stdout, stderr), once nothing of the tool's session is left."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        raise report.check_failed(f"still running after {SECONDS} s") from None
    wait_for(lambda: not session(process.pid), "an end of all workers")
    return process.returncode, out, err


def run(*arguments):
    return finish(start("torture", *arguments))


def torture(mode, *options, check=True):
    """(exit code, figures, stderr) of a run of bank_worker."""
    with segment_name() as name:
        checking = ["--check", f"{WORKER} check {name}"] if check else []
        code, out, err = run(
            "--segment",
            name,
            "--workers",
            4,
            "--json",
            *checking,
            *options,
            "--",
            WORKER,
            mode,
            name,
        )
    report.expect(out.count("\n") == 1, f"exit code {code}, expected one line of JSON\n{out}{err}")
    return code, json.loads(out), f"{out}{err}"


def figures_fit(got, text):
    report.expect(
        0 < got["kills_holding"] <= got["kills"] and got["kills_holding"] <= got["mutexes_held"],
        text,
    )
    report.expect(got["kills"] - 4 <= got["restarts"], text)
    report.expect(
        got["mutexes_held"] == got["recovered"] + got["not_recoverable"] + got["open"], text
    )
    report.expect(
        got["latency_us_max"] is None or 0 < got["latency_us_median"] <= got["latency_us_max"], text
    )
    report.expect(
        sum(got["death_log"].values()) + got["death_log_unseen"]
        <= got["mutexes_held"] + got["kills"],
        text,
    )


def random_kills_lose_no_money():
    code, got, text = torture("transfer", "--for", "2s", "--seed", 7)
    report.expect(code == 0 and got["problems"] == [] and got["check"] == "passed", text)
    report.expect(
        got["seed"] == 7 and got["workers"] == 4 and got["aim"] is False and got["seconds"] >= 2,
        text,
    )
    report.expect(got["workers_failed"] == {} and got["death_log"].get("repaired", 0) > 0, text)
    figures_fit(got, text)


def aimed_kills_hit_holders():
    code, got, text = torture("transfer", "--for", "1s", "--aim")
    report.expect(code == 0 and got["problems"] == [] and got["aim"] is True, text)
    report.expect(
        got["kills"] - got["kills_holding"] <= got["aims_missed"] and got["recovered"] > 0, text
    )
    figures_fit(got, text)


def a_holder_in_another_thread_of_a_child_is_found():
    code, got, text = torture("threads", "--for", "1s", "--aim")
    report.expect(code == 0 and got["kills_holding"] > 0, text)
    figures_fit(got, text)


def the_check_finds_a_repair_that_repairs_nothing():
    for seed in range(5):  # a kill between the two stores is likely, not certain
        code, got, text = torture("careless", "--for", "1s", "--aim", "--seed", seed)
        if code == 0:
            continue
        report.expect(
            code == 1
            and got["check"] == "exit code 1"
            and got["problems"] == ["the check failed: exit code 1"],
            text,
        )
        report.expect("expected a sum of 1000000" in text, text)
        return
    raise report.check_failed("five runs with a repair that does nothing, and no money was lost")


def without_a_repair_the_workers_fail():
    code, got, text = torture("unable", "--for", "20s", "--aim", check=False)
    report.expect(code == 1 and got["check"] is None, text)
    report.expect(
        got["workers_failed"].get("exit code 3", 0) > 0
        and got["death_log"].get("unrepaired", 0) > 0,
        text,
    )
    report.expect(got["left"] == {"unrepaired": 1}, text)
    report.expect(
        any("in a row ended by themselves" in problem for problem in got["problems"]), text
    )


def the_last_attempt_of_a_repair_is_spared():
    """The heirs of a slow repair are killed in it; killed in the last attempt they would leave a
    mutex that is not recoverable.
    """
    code, got, text = torture("slow", "--for", "2s", "--aim", "--every", "0", "--grace", "60s")
    report.expect(code == 0 and got["problems"] == [], text)
    report.expect(
        got["spared"] > 0 and got["not_recoverable"] == 0 and got["death_log"].get("begun", 0) > 0,
        text,
    )


def workers_that_crash_are_counted():
    code, got, text = torture("crash", "--for", "2s", check=False)
    report.expect(code == 1 and got["workers_failed"].get("killed by SIGSEGV", 0) > 0, text)


def workers_are_asked_to_end_first():
    _, got, text = torture("polite", "--for", "300ms", "--aim", "--grace", "60s")
    report.expect(
        "bank_worker: ends as asked" in text
        and got["workers_failed"] == {}
        and got["seconds"] < 60,
        text,
    )


def the_death_log_is_counted_once():
    """An heir that is killed between the number of its entry and the slot leaves the older entry in
    the ring for a round more. Here 300 heirs do so at once: the counter of the header goes up.
    """
    deaths_given_out = 520  # docs/format.md
    with segment_name() as name:
        process = start(
            "torture", "--segment", name, "--workers", 4, "--for", "3s", "--aim", "--json", "--",
            WORKER, "transfer", name,
        )  # fmt: skip

        def deaths():
            try:
                with open(path_of(name), "rb") as file:
                    return int.from_bytes(file.read(deaths_given_out + 8)[-8:], "little")
            except OSError:
                return 0

        wait_for(lambda: deaths() >= 5, "five deaths")
        skipped = deaths() + 300
        with open(path_of(name), "r+b") as file:
            file.seek(deaths_given_out)
            file.write(skipped.to_bytes(8, "little"))
        code, out, err = finish(process)
    got = json.loads(out)
    report.expect(code == 0 and got["kills"] > 10, f"{out}{err}")
    report.expect(sum(got["death_log"].values()) <= got["mutexes_held"], out)
    # Besides the 300, each kill may be of an heir at that place.
    report.expect(250 <= got["death_log_unseen"] <= 300 + got["kills"], out)


def the_rate_is_compared_with_what_was_asked():
    _, got, text = torture("transfer", "--for", "500ms", "--aim", "--every", "4ms", check=False)
    report.expect(got["kills_per_second_wanted"] == 250, text)
    _, got, text = torture("transfer", "--for", "300ms", "--aim", "--every", "0", check=False)
    report.expect(got["kills_per_second_wanted"] is None, text)


def a_check_during_the_run_stops_it():
    for seconds in (1, 5, 25):  # a machine that has much else to do starts a check late
        code, got, text = torture("transfer", "--for", f"{seconds}s", "--check-every", "100ms")
        report.expect(code == 0 and got["check"] == "passed", text)
        if got["checks"] >= 3:
            break
    report.expect(got["checks"] >= 3, text)
    began = time.monotonic()
    code, got, text = torture(
        "careless", "--for", "100s", "--aim", "--every", "1ms", "--check-every", "50ms"
    )
    report.expect(code == 1 and got["check"] == "exit code 1" and got["seconds"] < 90, text)
    report.expect(time.monotonic() - began < 95 and got["image"] is None, text)


def the_image_of_a_failure_is_kept():
    """Of a failed check, at which the sum is wrong in the image and in the segment; and of a worker
    that crashes: nothing was recovered.
    """
    for mode, options in [
        ("careless", ["--aim", "--every", "1ms", "--check-every", "50ms"]),
        ("crash", []),
    ]:
        with segment_name() as name, tempfile.TemporaryDirectory() as folder:
            image = pathlib.Path(folder, "image")
            checking = ["--check", f"{WORKER} check {name}"] if options else []
            code, out, err = run(
                "--segment", name, "--for", "100s", "--json", "--keep", image,
                *options, *checking, "--", WORKER, mode, name,
            )  # fmt: skip
            report.expect(code == 1, f"{out}{err}")
            got = json.loads(out)
            report.expect(got["seconds"] < 90 and got["image"] == str(image), out)
            report.expect(got["left"] == {}, out)
            report.expect(image.read_bytes() == path_of(name).read_bytes(), "another image")
            if options:
                again = subprocess.run([WORKER, "check", name], stderr=subprocess.DEVNULL)
                report.expect(again.returncode == 1, "the data is not as the check found it")
    with segment_name() as name:
        code, out, err = run(
            "--segment", name, "--for", "100s", "--keep", "/no/such/folder/image", "--",
            WORKER, "crash", name,
        )  # fmt: skip
        report.expect(
            code == 1
            and "the image was not kept in '/no/such/folder/image': No such file" in out,
            f"{out}{err}",
        )


def the_text_has_the_figures():
    with segment_name() as name:
        code, out, err = run(
            "--segment",
            name,
            "--workers",
            2,
            "--for",
            "1s",
            "--aim",
            "--seed",
            3,
            "--",
            WORKER,
            "transfer",
            name,
        )
    lines = dict(line.split(None, 1) for line in out.splitlines())
    report.expect(code == 0 and not err, f"exit code {code}\n{out}{err}")
    report.expect(
        {"segment", "kills", "restarts", "dead", "latency", "death", "workers", "left"}
        <= lines.keys(),
        out,
    )
    report.expect(re.search(r"^kills +\d+ \(\d+\.\d/s of 200\.0/s\), ", out, re.MULTILINE), out)
    report.expect(re.search(r"2 workers, seed 3, \d+\.\d s, aimed", lines["segment"]), out)


def a_terminal_gets_a_progress_line_that_fits():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    with segment_name() as name, os.fdopen(ours, "rb", buffering=0) as terminal:
        process = start(
            "torture",
            "--segment",
            name,
            "--for",
            "60s",
            "--",
            WORKER,
            "transfer",
            name,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        try:
            while seen.count(b"\r\x1b[K") < 3:
                seen += terminal.read(1000)
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while terminal.read(1000):
                    pass
        finally:
            code, _, _ = finish(process)
    shown = seen.split(b"\r\x1b[K")[1:-1]  # the last one may not be whole
    report.expect(
        code == 128 + signal.SIGTERM
        and all(b" of 60 s: 0 workers failed, " in each for each in shown)
        and all(len(each) < 50 and b"\n" not in each for each in shown),
        f"exit code {code}\n{seen}",
    )


def running(name):
    """The tool, once it has killed: then it has workers, too."""
    process = start(
        "torture",
        "--segment",
        name,
        "--workers",
        3,
        "--for",
        "60s",
        "--json",
        "--",
        WORKER,
        "transfer",
        name,
    )
    first = set()

    def has_killed():
        now = set(session(process.pid)) - {process.pid}
        first.update(now)
        return len(first) > 4 and len(now) >= 2

    wait_for(has_killed, "workers that come and go")
    return process


def interrupted_it_ends_its_workers():
    with segment_name() as name:
        process = running(name)
        process.send_signal(signal.SIGINT)
        code, out, err = finish(process)
    got = json.loads(out)
    report.expect(
        code == 128 + signal.SIGINT and got["interrupted"] and got["seconds"] < 60,
        f"exit code {code}\n{out}{err}",
    )


def killed_it_takes_its_workers_along():
    with segment_name() as name:
        process = running(name)
        process.kill()
        code, _, _ = finish(process)
    report.expect(code == -signal.SIGKILL, f"exit code {code}")


def a_check_that_hangs_has_failed():
    with segment_name() as name:
        code, out, err = run(
            "--segment",
            name,
            "--for",
            "300ms",
            "--aim",
            "--json",
            "--check",
            f"{WORKER} stuck {name}",
            "--check-limit",
            "300ms",
            "--",
            WORKER,
            "transfer",
            name,
        )
    report.expect(
        code == 1 and json.loads(out)["check"] == "still running after 0.3 s",
        f"exit code {code}\n{out}{err}",
    )


def a_run_without_a_kill_is_no_success():
    with segment_name() as name:
        code, out, err = run("--segment", name, "--for", "0", "--", WORKER, "transfer", name)
        report.expect(code == 1 and "no worker was killed" in out, f"exit code {code}\n{out}{err}")
        code, out, err = run("--segment", name, "--for", "500ms", "--", WORKER, "stuck", name)
        report.expect(
            code == 1 and "no worker was killed while holding" in out,
            f"exit code {code}\n{out}{err}",
        )


def what_cannot_run_is_refused():
    with segment_name() as name:
        named = ["--segment", name]
        for arguments, message in [  # wrong usage, but for the first three, which cannot be done
            (
                [*named, "--for", "1s", "--", "/bin/true"],
                "'/bin/true': 10 in a row ended by themselves within a second "
                "(the last: exit code 0)",
            ),
            (
                [*named, "--for", "1s", "--", "/no/such/program"],
                "cannot start '/no/such/program': No such file or directory",
            ),
            (
                [*named, "--for", "1s", "--start-limit", "100ms", "--", "sleep", "60"],
                "8 workers have not created it within 0.1 s",
            ),
            (["--segment", "a/b", "--for", "1s", "--", "sleep", "60"], "a/b"),
            ([*named, "--for", "1s"], "program"),
            ([*named, "--", "sleep", "60"], "--for"),
            (["--for", "1s", "--", "sleep", "60"], "--segment"),
            ([*named, "--for", "1s", "--no-such-option", "--", "sleep", "60"], "--no-such-option"),
            ([*named, "--for", "1s", "--check-every", "1s", "--", "sleep", "60"], "--check"),
            ([*named, "--for", "1s", "--workers", "0", "--", "sleep", "60"], "--workers"),
            *[
                (
                    [*named, "--for", text, "--", "sleep", "60"],
                    f"found '{text}', expected a number with a unit (us, ms, s, m or h)",
                )
                for text in ("30", "s", "-1s", "1x", "1 s", "nan", "inf", "1e9h", "")
            ],
        ]:
            code, out, err = run(*arguments)
            wanted = 3 if message.startswith(("'/bin/true'", "cannot start", "8 workers")) else 2
            report.expect(
                code == wanted and message in err and not out,
                f"{arguments}: exit code {code}, expected {wanted} and '{message}'\n{out}{err}",
            )


def help_and_version():
    for arguments, message in [
        (["--help"], "torture"),
        (["torture", "--help"], "--segment"),
        (["--version"], "."),
    ]:
        code, out, err = finish(start(*arguments))
        report.expect(
            code == 0 and message in out and not err, f"{arguments}: exit code {code}\n{out}{err}"
        )
    code, out, err = finish(start())
    report.expect(code == 2 and err and not out, f"no command: exit code {code}\n{out}{err}")


sys.exit(
    report.run(
        [
            (f"torture.{case.__name__}", case)
            for case in [
                random_kills_lose_no_money,
                aimed_kills_hit_holders,
                a_holder_in_another_thread_of_a_child_is_found,
                the_check_finds_a_repair_that_repairs_nothing,
                without_a_repair_the_workers_fail,
                the_last_attempt_of_a_repair_is_spared,
                workers_that_crash_are_counted,
                workers_are_asked_to_end_first,
                the_death_log_is_counted_once,
                the_rate_is_compared_with_what_was_asked,
                a_check_during_the_run_stops_it,
                the_image_of_a_failure_is_kept,
                the_text_has_the_figures,
                a_terminal_gets_a_progress_line_that_fits,
                interrupted_it_ends_its_workers,
                killed_it_takes_its_workers_along,
                a_check_that_hangs_has_failed,
                a_run_without_a_kill_is_no_success,
                what_cannot_run_is_refused,
                help_and_version,
            ]
        ]
    )
)
