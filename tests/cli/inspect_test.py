#!/usr/bin/env python3
"""What ls, show, deaths, check, rm and metrics print, and with which exit code.

Usage: inspect_test.py OUTLIVE PROGRAM_OF_THE_SUITE"""

import fcntl
import functools
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios

import report
from tool import FOLDER, SECONDS, TOOL, expect_golden, path_of, run, scene, segment_name


def expect(done, code, *words):
    text = f"exit code {done[0]}, expected {code}\n{done[1]}{done[2]}"
    report.expect(code is None or done[0] == code, text)
    for word in words:
        report.expect(word in done[1] + done[2], f"no '{word}' in:\n{text}")
    return done


def as_json(*arguments):
    code, out, err = run(*arguments, "--json")
    report.expect(not err, err)
    return code, json.loads(out)


def show_lists_holders_and_waiters():
    with scene() as (name, pid):
        code, out, err = run("show", name, "--sample", "20ms")
        report.expect(code == 0 and not err, err)
        expect_golden(
            out,
            name,
            """
            segment NAME: N bytes, owner root, 4 objects, 4 mutexes, 1 owner death, 1 more pending

            PID COMMAND STATE THREADS
            N scene alive 1
            N scene alive 1
            N scene dead 0
            N scene dead 0

            TID PID THREAD STATE ACQUIRED WAITED HOLDS READS WAITS FOR NOTE
            N N scene alive 2 0 1 - - 7
            N N scene alive 0 1 0 - bank 0
            N N scene dead 1 0 0 - - 0
            N N scene dead 1 0 1 - - 0

            MUTEX CLASS STATE HOLDER ACQUIRED AT HELD >= WAITERS READERS
            bank accounts held N scene scene.cpp:LINE (FUNCTION) DURATION 1 -
            vault savings unrepaired - - - 0 -
            drawer savings owner died N scene scene.cpp:LINE (FUNCTION) DURATION 0 -

            1 of 4 mutexes is free
            """.replace(
                "owner root", "owner " + user()
            ),
        )


def show_lists_readers():
    with scene("readers_scene") as (name, pid):
        code, got = as_json("show", name)
        out = run("show", name)[1]
    locks = {lock["mutex"]: lock for lock in got["locks"]}
    reads = {thread["pid"]: thread["reads"] for thread in got["threads"] if thread["alive"]}
    text = out + json.dumps(got, indent=1)
    report.expect(
        code == 0 and (locks["prices"]["state"], locks["prices"]["readers"]) == ("held shared", 2),
        text,
    )
    report.expect(
        (locks["stock"]["state"], locks["stock"]["readers"]) == ("held", 1)
        and locks["stock"]["holder_pid"] != pid,
        text,
    )
    report.expect(
        len(reads) == 3
        and sorted(reads.pop(pid)) == ["prices", "stock"]
        and sorted(reads.values()) == [[], ["prices"]],
        text,
    )
    report.expect(re.search(r" (prices, stock|stock, prices) ", out), text)


def user():
    return subprocess.run(
        ["id", "-un"], capture_output=True, text=True, timeout=SECONDS
    ).stdout.strip()


def show_as_json_has_numbers():
    with scene() as (name, pid):
        code, got = as_json("show", name, "--all")
    locks = {lock["mutex"]: lock for lock in got["locks"]}
    text = json.dumps(got, indent=1)
    report.expect(
        code == 0
        and got["segment"] == name
        and got["owner_deaths"] == 1
        and got["pending_owner_deaths"] == 1
        and got["mutexes"] == 4
        and got["free"] == 1,
        text,
    )
    report.expect(
        {name: lock["state"] for name, lock in locks.items()}
        == {"bank": "held", "shelf": "free", "vault": "unrepaired", "drawer": "owner died"},
        text,
    )
    report.expect(
        locks["bank"]["holder_pid"] == pid
        and locks["bank"]["waiters"] == 1
        and locks["bank"]["held_for_seconds"] >= 0.2,
        text,
    )
    report.expect(locks["shelf"]["holder"] is None and locks["vault"]["attempts"] == 1, text)
    report.expect(
        isinstance(got["participants"][0]["pid"], int)
        and [each["note"] for each in got["threads"]] == [7, 0, 0, 0],
        text,
    )


def columns_and_headings_are_chosen():
    with scene() as (name, pid):
        done = expect(run("show", name, "-o", "mutex,holder_pid", "--noheadings"), 0)
        report.expect(done[1].split("\n")[0].split() == ["bank", str(pid)], done[1])
        code, got = as_json("show", name, "-o", "mutex")
        report.expect(
            got["locks"] == [{"mutex": "bank"}, {"mutex": "vault"}, {"mutex": "drawer"}],
            str(got["locks"]),
        )
        expect(run("show", name, "-o", "mutex,nonsense"), 2, "nonsense", "lock_class")


def ls_lists_what_it_can_open_and_says_why_not():
    with scene() as (name, _), segment_name() as broken:
        path_of(broken).write_bytes(b"no segment")
        path_of(broken).chmod(0o600)
        code, got = as_json("ls")
        mine = {line["name"]: line for line in got}
        report.expect(code == 1, f"exit code {code}, with a segment that cannot be opened")
        report.expect(
            mine[name]["participants"] == 2
            and mine[name]["threads"] == 2
            and mine[name]["objects"] == 4
            and mine[name]["problem"] is None,
            str(mine[name]),
        )
        report.expect(
            mine[broken]["threads"] is None
            and "found a file of 10 bytes" in mine[broken]["problem"],
            str(mine[broken]),
        )
        out = run("ls")[1]
        report.expect(
            re.search(rf"^{name} +\d+\.\dM +{user()} +2 +2 +4 +1 +-$", out, re.MULTILINE), out
        )


def another_users_segment_is_no_problem():
    """Its size and owner are no secret. We cannot remove it, and rm does not promise that."""
    nobody = 65534
    with scene() as (name, _):
        as_nobody = functools.partial(run, user=nobody) if os.getuid() == 0 else None
        if as_nobody is None:
            raise report.skip("needs root, to be two users")
        expect(run("rm", "--dry-run", "--force", name), 0, "would remove")
        done = expect(as_nobody("ls", "--json"), 0)
        line = next(line for line in json.loads(done[1]) if line["name"] == name)
        size = path_of(name).stat().st_size
        report.expect(line["size_bytes"] == size and line["owner"] == "root", str(line))
        report.expect("ermission denied" in line["problem"], str(line))
        for options in ([], ["--force"], ["--dry-run"], ["--force", "--dry-run"]):
            done = expect(
                as_nobody("rm", *options, name), 3, "it belongs to root; only root and root may"
            )
            report.expect("--force" not in done[2] and not done[1], str(done))


def a_path_is_as_good_as_a_name():
    with scene() as (name, _):
        expect(run("show", path_of(name)), 0, f"segment {name}: ")
        expect(run("rm", "--force", path_of(name)), 0)
    expect(run("show", "/dev/shm/outlive."), 2, "invalid name")
    expect(run("show", "/dev/shm/other"), 2, "found a slash")


def help_is_a_word_too():
    report.expect(run("help") == run("--help"), str(run("help")))
    report.expect(run("help", "show") == run("show", "--help"), str(run("help", "show")))
    expect(run("help"), 0, "outlive help COMMAND", "torture")
    expect(run("help", "nonsense"), 2, "unknown command 'nonsense'")


def free_mutexes_are_counted_in_words():
    with segment_name() as name:
        bank_worker = os.path.join(FOLDER, "bank_worker")
        subprocess.run([bank_worker, "check", name], timeout=SECONDS, check=True)
        expect(run("show", name, "--sample", "0"), 0, "\nthe only mutex is free\n")


def a_fifo_is_reported_and_skipped():
    with scene() as (name, _), segment_name() as fifo:
        os.mkfifo(path_of(fifo), 0o644)  # a wait for its other end would exceed SECONDS
        code, got = as_json("ls")
        mine = {line["name"]: line for line in got}
        report.expect(code == 1 and mine[name]["threads"] == 2, f"exit code {code}: {mine[name]}")
        report.expect("found a FIFO, expected a segment" in mine[fifo]["problem"], str(mine[fifo]))
        for command in ("show", "deaths", "metrics", "recover", "supervise", "top"):
            expect(run(command, fifo), 3, "found a FIFO, expected a segment")
        expect(run("check", fifo), 1, "a FIFO", "a segment")
        expect(run("rm", fifo), 1, "found a FIFO", "it is not known who uses it")
        expect(run("rm", "--force", fifo), 0)
        report.expect(not path_of(fifo).exists(), "still there")


def deaths_are_listed_with_their_lines():
    with scene() as (name, _):
        code, out, err = run("deaths", name)
        report.expect(code == 0 and not err, err)
        expect_golden(
            out,
            name,
            """
            NUMBER MEETING WHEN MUTEX OWNER ACQUIRED AT CRASH HEIR ATTEMPT OUTCOME REPAIR
            1 first TIME vault N scene scene.cpp:LINE (FUNCTION) - N scene 1 failed DURATION
            - none yet - drawer N scene scene.cpp:LINE (FUNCTION) - - - pending -
            """,
        )
        code, got = as_json("deaths", name)
        death = got[0]
        report.expect(
            len(got) == 2
            and death["number"] == 1
            and death["meeting"] == "first"
            and (got[1]["mutex"], got[1]["lock_class"]) == ("drawer", "savings")
            and (got[1]["meeting"], got[1]["outcome"]) == ("none yet", "pending")
            and got[1]["number"] is got[1]["when"] is None
            and death["outcome"] == "failed"
            and death["module"].endswith("scene"),
            str(got),
        )
        report.expect(
            re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", death["when"])
            and death["crash"] is None,
            str(got),
        )


def check_finds_what_is_damaged():
    with scene() as (name, _):
        expect(run("check", name), 0, f"segment {name}: no problem found\n")
        report.expect(as_json("check", name) == (0, []), "problems in a whole segment")
        with path_of(name).open("r+b") as file:
            file.seek(564)  # reserved bytes of the header
            file.write(b"\x01")
        expect(run("check", name), 1, "OBJECT", "header", "reserved bytes: 0x1 in byte 0", "zero")
        code, got = as_json("check", name)
        report.expect(
            (code, got)
            == (
                1,
                [
                    {
                        "object": "header",
                        "found": "reserved bytes: 0x1 in byte 0",
                        "expected": "zero",
                    }
                ],
            ),
            str(got),
        )
        with path_of(name).open("r+b") as file:
            file.seek(64)  # a number of the header
            file.write(b"\xff")
        code, got = as_json("check", name)
        report.expect(code == 1 and got[0]["found"].startswith("header checksum"), str(got))
        expect(run("show", name), 3, "header checksum")


def another_version_is_no_problem_of_the_segment():
    with scene() as (name, _):
        with path_of(name).open("r+b") as file:
            file.seek(8)
            file.write((7).to_bytes(4, "little"))
        for command in ("show", "deaths", "check", "metrics"):
            expect(run(command, name), 3, "found format version 7, expected")


def rm_refuses_while_somebody_lives():
    with scene() as (name, pid):
        expect(
            run("rm", name),
            1,
            f'segment "{name}" is in use by {pid} scene',
            "--force removes it anyway",
        )
        expect(run("rm", "--force", "--dry-run", name), 0, "would remove")
        report.expect(path_of(name).exists(), "removed all the same")
        expect(run("rm", "--force", name), 0)
        report.expect(not path_of(name).exists(), "still there")
    with segment_name() as broken:
        path_of(broken).write_bytes(b"no segment")
        path_of(broken).chmod(0o600)
        expect(run("rm", broken), 1, "it is not known who uses it")
        expect(run("rm", "--force", broken), 0)


def rm_removes_what_the_dead_left():
    with scene() as (name, _):
        pass_on = name
        path_of(name).rename(path_of(name + "-kept"))
    path_of(pass_on + "-kept").rename(path_of(pass_on))  # nobody lives in it any more
    expect(run("rm", pass_on), 0)
    expect(run("rm", pass_on), 3, "found no /dev/shm/outlive")


def metrics_are_prometheus():
    with scene() as (name, _):
        _, out, _ = expect(run("metrics", name, "--sample", "20ms"), 0)
    figures = dict(line.rsplit(" ", 1) for line in out.splitlines() if not line.startswith("#"))
    for key, value in [
        ('outlive_locks{segment="%s",state="held"}', "1"),
        ('outlive_locks{segment="%s",state="unrepaired"}', "1"),
        ('outlive_locks{segment="%s",state="owner died"}', "1"),
        ('outlive_owner_deaths_total{segment="%s"}', "1"),
        ('outlive_owner_death_meetings_total{segment="%s"}', "1"),
        ('outlive_pending_owner_deaths{segment="%s"}', "1"),
        ('outlive_participants{segment="%s",state="alive"}', "2"),
        ('outlive_waiting_threads{segment="%s"}', "1"),
        ('outlive_hung_threads{segment="%s"}', "1"),
        ('outlive_death_log_entries{segment="%s",outcome="failed"}', "1"),
        ('outlive_death_log_repairs{segment="%s",up_to_seconds="+Inf"}', "1"),
    ]:
        report.expect(
            figures.get(key % name) == value,
            f"{key % name}: {figures.get(key % name)}, expected {value}\n{out}",
        )
    seconds = float(figures['outlive_death_log_repair_seconds{segment="%s"}' % name])
    report.expect(
        0
        < seconds
        == float(figures['outlive_death_log_longest_repair_seconds{segment="%s"}' % name]),
        out,
    )
    # What is not called a counter may go down: the death log forgets.
    kinds = dict(line.split(" ")[2:] for line in out.splitlines() if line.startswith("# TYPE"))
    report.expect(
        {name for name, kind in kinds.items() if kind != "gauge"}
        == {"outlive_owner_deaths_total", "outlive_owner_death_meetings_total"},
        str(kinds),
    )
    if not shutil.which("promtool"):
        raise report.skip(
            "promtool (package prometheus) is not installed; the figures themselves are right"
        )
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=out, capture_output=True, text=True, timeout=SECONDS
    )
    report.expect(
        done.returncode == 0 and not done.stdout + done.stderr,
        f"{done.returncode}\n{done.stdout}{done.stderr}\n{out}",
    )


def what_makes_no_sense_is_refused():
    for command in ("show", "deaths", "check", "rm", "metrics", "top"):
        expect(run(command), 2, "segment is required")
        expect(
            run(command, "no-such-segment"),
            3,
            f"outlive {command}: segment",
            "found no /dev/shm/outlive.no-such-segment",
        )
        expect(run(command, "a/b"), 2, "found a slash")
        expect(run(command, "x", "--no-such-option"), 2, "--no-such-option")
        report.expect(
            run(command)[2].startswith(f"outlive {command}: segment is required\n"), run(command)[2]
        )
    expect(
        run("no-such-command"),
        2,
        "outlive: unknown command 'no-such-command'\nTry outlive --help.\n",
    )
    expect(run(), 2, "outlive: ", "required")
    report.expect("{" not in run("show", "--help")[1], run("show", "--help")[1])


def a_full_disk_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [TOOL, "ls"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS
        )
    report.expect(
        done.returncode == 3 and "writing the result" in done.stderr,
        f"exit code {done.returncode}\n{done.stderr}",
    )


def on_terminal(columns, *arguments, **env):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [TOOL, *arguments],
        stdin=theirs,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **env},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # EIO: the other end is closed
            part = b""
        if not part:
            break
        text += part
    os.close(ours)
    process.wait(timeout=SECONDS)
    return text.decode()


def terminals_get_colours_and_lines_that_fit():
    with scene() as (name, _):
        text = on_terminal(60, "show", name, "--sample", "0")
        report.expect("\x1b[33m" in text, repr(text))
        plain = re.sub(r"\x1b\[\d*m", "", text)
        report.expect(max(map(len, plain.splitlines()[1:])) <= 60 and "~" in plain, plain)
        report.expect(
            "\x1b" not in on_terminal(60, "show", name, "--sample", "0", NO_COLOR="1"),
            "colours with NO_COLOR",
        )
        report.expect(
            "\x1b" not in run("show", name, "--sample", "0")[1], "colours without a terminal"
        )


def narrow_tables_leave_columns_out_before_they_cut_them_to_nothing():
    """On 80 columns the deaths were cut to six cells each: no time, no line, no name."""
    with scene() as (name, pid):
        text = on_terminal(80, "deaths", name, NO_COLOR="1")
        report.expect(
            re.search(
                r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +vault +\d+ scene +scene\.cpp:\d+ "
                r".* failed",
                text,
            ),
            text,
        )
        report.expect("MEETING" not in text and "HEIR" not in text, text)
        report.expect("MEETING" in on_terminal(160, "deaths", name, NO_COLOR="1"), "wide")
        asked = on_terminal(80, "deaths", name, "-o", "number,heir,when,meeting,owner,acquired_at")
        report.expect("HEIR" in asked and "MEET" in asked, asked)
        text = on_terminal(80, "show", name, "--sample", "0", NO_COLOR="1")
        # With short process ids the class has room, too.
        line = rf"^bank +(accounts +)?held +{pid} scene +scene\.cpp:\d+ "
        report.expect(re.search(line, text, re.M), text)
        report.expect(max(map(len, text.splitlines())) <= 80, text)


def help_fits_on_a_terminal():
    for words in ([], ["show"], ["torture"], ["top"]):
        text = on_terminal(80, "help", *words)
        report.expect(max(map(len, text.splitlines())) <= 80, text)
        whole = run("help", *words)[1]
        report.expect(
            re.sub(r"\s", "", text) == re.sub(r"\s", "", whole), f"{text}\nexpected\n{whole}"
        )
    whole = run("help", "show")[1]
    report.expect("Columns: mutex,lock_class,state,holder,holder_pid," in whole, whole)


def what_is_of_no_use_without_its_end_is_not_cut():
    text = on_terminal(80, "doctor", NO_COLOR="1")
    report.expect(max(map(len, text.splitlines())) <= 80 and "~" not in text, text)
    for line in as_json("doctor")[1]:
        missing = [word for word in line["meaning"].split() if word not in text]
        report.expect(not missing, f"no {missing} in:\n{text}")


def names_are_valid_everywhere():
    """Halves of a pair of UTF-16, overlong forms and what is beyond the last character are no
    UTF-8: run() would not decode them. And no message of any command has a control character.
    """
    for odd in (
        b"\xed\xa0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xef\xbb\xbf",
        b"\x1b[2J\n",
    ):
        shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in odd)
        with scene(end=os.fsdecode(odd)) as (name, _):
            expect(run("metrics", name, "--sample", "0"), 0, shown.replace("\\", "\\\\"))
            expect(run("ls"), None, shown)
            for command, *others in (["rm"], ["show"], ["stack", "x"], ["reset", "x"]):
                done = run(command, name, *others)
                report.expect("\x1b" not in done[1] + done[2], repr(done))
            expect(run("rm", name), 1, shown + '" is in use by')
        expect(run("deaths", name), 3, shown + '": found no')


def names_cannot_move_the_cursor():
    with segment_name() as name:
        forged = name + "\x1b[2J\n"
        path_of(forged).write_bytes(b"")
        try:
            out = run("ls", "-o", "name,problem")[1]
        finally:
            path_of(forged).unlink()
    report.expect(f"{name}\\x1b[2J\\x0a " in out and "\x1b" not in out, out)


sys.exit(
    report.run(
        [
            (f"inspect.{case.__name__}", case)
            for case in [
                show_lists_holders_and_waiters,
                show_lists_readers,
                show_as_json_has_numbers,
                columns_and_headings_are_chosen,
                ls_lists_what_it_can_open_and_says_why_not,
                another_users_segment_is_no_problem,
                a_path_is_as_good_as_a_name,
                help_is_a_word_too,
                free_mutexes_are_counted_in_words,
                a_fifo_is_reported_and_skipped,
                deaths_are_listed_with_their_lines,
                check_finds_what_is_damaged,
                another_version_is_no_problem_of_the_segment,
                rm_refuses_while_somebody_lives,
                rm_removes_what_the_dead_left,
                metrics_are_prometheus,
                what_makes_no_sense_is_refused,
                a_full_disk_is_an_error,
                terminals_get_colours_and_lines_that_fit,
                narrow_tables_leave_columns_out_before_they_cut_them_to_nothing,
                help_fits_on_a_terminal,
                what_is_of_no_use_without_its_end_is_not_cut,
                names_are_valid_everywhere,
                names_cannot_move_the_cursor,
            ]
        ]
    )
)
