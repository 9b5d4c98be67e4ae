#!/usr/bin/env python3
"""What objects, show, deaths and metrics print of objects, queues and permit pools; the alert rules
and the dashboard for these figures.

Usage: companions_test.py OUTLIVE PROGRAM_OF_THE_SUITE"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import report
from tool import SECONDS, path_of, run, scene, segment_name

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "docs/examples"


def answer(*arguments):
    code, out, err = run(*arguments, "--json")
    report.expect(code == 0 and not err, f"exit code {code}\n{err}")
    return json.loads(out)


def said(*arguments, code=0):
    done = run(*arguments)
    report.expect(done[0] == code, f"exit code {done[0]}, expected {code}\n{done[1]}{done[2]}")
    return done[1]


def expect_lines(text, *lines):
    found = [re.sub(" +", " ", line).strip() for line in text.splitlines()]
    for line in lines:
        report.expect(line in found, f"no line '{line}' in:\n{text}")


def objects_have_types_of_the_source_code():
    with scene("companions_scene") as (name, _):
        out = said("objects", name)
        got = {each["name"]: each for each in answer("objects", name)}
        expect_lines(said("objects", name, "-o", "name", "--noheadings"), "jobs", "desks", "office")
    expect_lines(
        out,
        "NAME SIZE TYPE",
        f"jobs {got['jobs']['size_bytes']} outlive::work_queue<(anonymous namespace)::job, 8u>",
        f"desks {got['desks']['size_bytes']} outlive::permit_pool<8u>",
        f"office {got['office']['size_bytes']} (anonymous namespace)::office",
    )
    places = [(each["offset"], each["size_bytes"]) for each in got.values()]
    report.expect(
        places == sorted(places) and all(size > 0 for _, size in places),
        str(got),
    )


def objects_refuses_what_it_does_not_know():
    with segment_name() as name:
        said("objects", name, code=3)
    with scene("companions_scene") as (name, _):
        said("objects", name, "-o", "nonsense", code=2)


def show_counts_jobs_and_names_the_oldest_lease():
    with scene("companions_scene") as (name, pid):
        out, got = said("show", name, "--sample", "20ms"), answer("show", name, "--sample", "20ms")
    queues = {each["queue"]: each for each in got["queues"]}
    text = out + json.dumps(got, indent=1)
    jobs, mail = queues["jobs"], next(each for name, each in queues.items() if "office+" in name)
    report.expect(
        (jobs["waiting"], jobs["leased"], jobs["dead_letters"], jobs["capacity"]) == (2, 2, 1, 8)
        and not jobs["closed"]
        and jobs["oldest_lease_pid"] == pid
        and jobs["oldest_lease_seconds"] >= 0.02
        and jobs["oldest_lease_tries"] == 1
        and jobs["lease_limit_seconds"] == 3600,
        text,
    )
    report.expect(
        (mail["waiting"], mail["capacity"], mail["closed"], mail["oldest_lease_holder"])
        == (0, 4, True, None)
        and mail["lease_limit_seconds"] is None,
        text,
    )
    report.expect(re.search(rf"^jobs +open +2 +2 +1 +8 +[\d.]+ \w+ +{pid} ", out, re.M), text)


def show_names_the_holders_of_permits():
    with scene("companions_scene") as (name, pid):
        got = answer("show", name, "--sample", "0")
        out = said("show", name, "--sample", "0")
    (pool,) = got["permit_pools"]
    holders = {each["pid"]: each["permits"] for each in pool["holders"]}
    report.expect(
        (pool["pool"], pool["permits"], pool["free"], pool["abandoned"]) == ("desks", 4, 1, 1)
        and holders.pop(pid) == 2
        and list(holders.values()) == [1],
        json.dumps(got, indent=1),
    )
    report.expect(f"{pid} companions_scen (2)" in out, out)
    report.expect(all(each["held_for_seconds"] is None for each in pool["holders"]), out)
    with scene("companions_scene") as (name, pid):
        got = answer("show", name, "--sample", "20ms")
        out = said("show", name, "--sample", "20ms")
    (pool,) = got["permit_pools"]
    report.expect(all(each["held_for_seconds"] >= 0.02 for each in pool["holders"]), str(pool))
    report.expect(re.search(rf"{pid} companions_scen \(2\) >= [\d.]+ ms", out), out)


def deaths_list_the_jobs_that_threads_died_on():
    with scene("companions_scene") as (name, _):
        out, jobs = said("deaths", name), answer("deaths", name, "--jobs")
        report.expect(run("deaths", name, "--jobs", "-o", "mutex")[0] == 2, "--jobs with -o")
        report.expect(answer("deaths", name) == [], "owner deaths, too")
    states = sorted(each["state"] for each in jobs)
    report.expect(states == ["dead letter", "waiting", "waiting"], str(jobs))
    for each in jobs:
        died = [one["pid"] for one in each["died_on_it"]]
        report.expect(
            len(died) == len(set(died)) == (2 if each["state"] == "dead letter" else 1)
            and all(str(one) in out for one in died)
            and each["tries"] == len(died)
            and each["max_tries"] == 2,
            out + str(jobs),
        )
    report.expect("DIED ON IT" in out, out)
    with scene() as (name, _):
        report.expect("DIED ON IT" not in said("deaths", name), "jobs without a queue")


def figures(*arguments, code=0):
    out = said("metrics", *arguments, code=code)
    return dict(line.rsplit(" ", 1) for line in out.splitlines() if not line.startswith("#")), out


def metrics_count_jobs_and_permits():
    with scene("companions_scene") as (name, pid):
        found, out = figures(name, "--sample", "20ms")
    for key, value in {
        'outlive_queue_jobs{%s,queue="jobs",state="waiting"}': 2,
        'outlive_queue_jobs{%s,queue="jobs",state="leased"}': 2,
        'outlive_queue_jobs{%s,queue="jobs",state="dead letter"}': 1,
        'outlive_queue_capacity{%s,queue="jobs"}': 8,
        'outlive_queue_closed{%s,queue="jobs"}': 0,
        'outlive_queue_hung_leases{%s,queue="jobs"}': 2,
        'outlive_queue_oldest_lease_pid{%s,queue="jobs"}': pid,
        'outlive_permits{%s,pool="desks",state="free"}': 1,
        'outlive_permits{%s,pool="desks",state="held"}': 3,
        "outlive_segment_readable{%s}": 1,
    }.items():
        key %= f'segment="{name}"'
        report.expect(found.get(key) == str(value), f"{key}: expected {value}\n{out}")


def all_segments_are_in_one_exposition():
    with scene("companions_scene") as (first, _), scene() as (second, _), segment_name() as torn:
        path_of(torn).write_bytes(b"no segment")
        path_of(torn).chmod(0o600)
        found, out = figures("--all", "--sample", "1ms", code=1)
        for name, value in ((first, "1"), (second, "1"), (torn, "0")):
            key = f'outlive_segment_readable{{segment="{name}"}}'
            report.expect(found.get(key) == value, f"{key}: expected {value}\n{out}")
        report.expect(f'outlive_objects{{segment="{torn}"}}' not in found, out)
        report.expect(
            found[f'outlive_locks{{segment="{second}",state="unrepaired"}}'] == "1"
            and found[f'outlive_locks{{segment="{first}",state="unrepaired"}}'] == "0",
            out,
        )
        kinds = [line for line in out.splitlines() if line.startswith("# TYPE")]
        report.expect(len(kinds) == len(set(kinds)), "a figure begins twice:\n" + out)
        said("metrics", "--all", first, code=2)
    said("metrics", code=2)
    promtool("check", "metrics", input=out)


def promtool(*arguments, **more):
    if not shutil.which("promtool"):
        raise report.skip("promtool (package prometheus) is not installed")
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS, **more
    )
    report.expect(done.returncode == 0, f"{done.stdout}{done.stderr}")
    return done.stdout


def alerts_and_dashboard_use_figures_that_are_there():
    with scene("companions_scene") as (name, _):
        found, _ = figures(name, "--sample", "0")
    known = {key.partition("{")[0] for key in found}
    # each state of a figure, too
    states = set(re.findall(r'state="([^"]*)"', "\n".join(found)))
    dashboard = json.loads((EXAMPLES / "grafana_dashboard.json").read_text())
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ] + [variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]]
    for where, text in (
        ("the alerts", (EXAMPLES / "prometheus_alerts.yml").read_text()),
        ("the dashboard", "\n".join(expressions)),
    ):
        used = set(re.findall(r"\boutlive_\w+", text))
        report.expect(used and used <= known, f"{where}: {sorted(used - known)}")
        asked = {
            one for list_ in re.findall(r'\bstate!?=~?"([^"]*)"', text) for one in list_.split("|")
        }
        report.expect(asked and asked <= states, f"{where}: {sorted(asked - states)}")


def promtool_accepts_the_alerts():
    promtool("check", "rules", "--lint-fatal", EXAMPLES / "prometheus_alerts.yml")


def alerts_fire_in_trouble_and_not_in_daily_work():
    rules = EXAMPLES / "prometheus_alerts.yml"
    cases = (HERE / "prometheus_alerts_test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", rules.read_text())
    report.expect(
        len(names) > 5 and all(f'alertname="{name}"' in cases for name in names),
        f"an alert without a case: {names}",
    )
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(cases.replace("[RULES]", f"[{rules}]"))
        file.flush()
        promtool("test", "rules", file.name)


sys.exit(
    report.run(
        [
            (f"companions.{case.__name__}", case)
            for case in [
                objects_have_types_of_the_source_code,
                objects_refuses_what_it_does_not_know,
                show_counts_jobs_and_names_the_oldest_lease,
                show_names_the_holders_of_permits,
                deaths_list_the_jobs_that_threads_died_on,
                metrics_count_jobs_and_permits,
                all_segments_are_in_one_exposition,
                alerts_and_dashboard_use_figures_that_are_there,
                promtool_accepts_the_alerts,
                alerts_fire_in_trouble_and_not_in_daily_work,
            ]
        ]
    )
)
