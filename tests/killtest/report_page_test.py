#!/usr/bin/env python3
"""The HTML page in headless Chromium: a phone's width, light and dark.

Usage: report_page_test.py FOLDER-OF-report.py PROGRAM

The page runs nothing and loads nothing; the script that measures is put into a copy of it. That
copy is shown in a frame of a phone's size: a window cannot be made so narrow. """

import functools
import html
import json
import re
import shutil
import subprocess
import sys

from kit_program import LIMIT, WRONG, explored, folder

import report

POLICY = (
    """<meta http-equiv="Content-Security-Policy" """
    """content="default-src 'none'; style-src 'unsafe-inline'">\n"""
)
WIDTH, HEIGHT = 390, 844
MEASURE = """<script>
addEventListener("load", () => {
  const rows = [...document.querySelectorAll('[data-file="bank.hpp"] [data-line]')].map(row => ({
    line: +row.dataset.line, kind: row.classList.item(2),
    text: row.querySelector(".text").textContent.trim(),
    states: +((row.querySelector(".states") || {}).textContent || 0),
    failed: +((row.querySelector(".bad") || {}).textContent || 0)}));
  const widest = () => {
    // Text that is cut off makes neither its element wider nor the page: only its own rectangle
    // shows it.
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    const of = [...document.querySelectorAll("body *")].map(
        each => each.getBoundingClientRect().right);
    while (texts.nextNode()) {
      if (texts.currentNode.parentElement.closest("script")) continue;
      range.selectNodeContents(texts.currentNode);
      of.push(range.getBoundingClientRect().right);
    }
    return Math.max(document.documentElement.scrollWidth, ...of);
  };
  const closed = widest();
  const first = document.querySelector(".fails");
  const before = first.getBoundingClientRect().height;
  first.querySelector("summary").click();
  const opened = first.getBoundingClientRect().height - before;
  const told = first.querySelector(".why").innerText;
  document.querySelectorAll("details").forEach(each => each.open = true);
  const luminance = colour =>
      colour.match(/\\d+/g).slice(0, 3).reduce((sum, each) => sum + +each, 0);
  const style = getComputedStyle(document.body);
  parent.document.documentElement.dataset.measured = JSON.stringify({
    inner: innerWidth, closed, open: widest(), opened, told, rows,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    page: luminance(style.backgroundColor), ink: luminance(style.color),
    outcomes: [...document.querySelectorAll(".scenario")].map(
        each => [each.querySelector("h3").textContent, each.dataset.outcome]),
    heading: document.querySelector("h1").textContent,
    loaded: performance.getEntriesByType("resource").length});
});
</script>
"""
FRAME = """<!DOCTYPE html><meta charset="utf-8">
<style>:root {{ color-scheme: light dark; }} iframe {{ border: 0; }}</style>
<iframe width="{width}" height="{height}" srcdoc="{page}"></iframe>
"""


def page():
    explored()
    return (folder() / "kill.html").read_text()


@functools.cache
def measured(scheme):
    """What the script found; `scheme` as Blink counts them: 0 dark, 1 light."""
    browser = shutil.which("chromium")
    if not browser:
        raise report.skip("chromium is not installed")
    text = page()
    report.expect(POLICY in text, "the page has no policy against loading anything")
    copy = folder() / f"measured-{scheme}.html"
    with_script = text.replace(POLICY, "").replace("</body>", MEASURE + "</body>")
    copy.write_text(FRAME.format(width=WIDTH, height=HEIGHT, page=html.escape(with_script)))
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder() / f'profile-{scheme}'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            "--dump-dom",
            copy.as_uri(),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    found = re.search(r'data-measured="([^"]*)"', done.stdout)
    report.expect(
        done.returncode == 0 and found,
        f"chromium: exit code {done.returncode}\n{done.stderr[-2000:]}",
    )
    return json.loads(html.unescape(found[1]))


def nothing_is_loaded_from_elsewhere():
    text = page()
    found = re.findall(r"(?:src|href)=[^ >]*|url\([^)]*\)|@import[^;]*|<script", text)
    report.expect(not found, f"found {found[:5]}")
    report.expect(measured(1)["loaded"] == 0, "the browser loaded something")


def each_scenario_says_what_came_of_it():
    found = measured(1)
    report.expect(
        found["outcomes"] == [[WRONG, "failed"], ["nothing", "broken"], ["right", "ok"]],
        f"found {found['outcomes']}",
    )
    report.expect(
        found["heading"] == "1 of 3 scenarios survived all kills", f"found {found['heading']!r}"
    )


def each_line_says_how_many_states_it_has_and_how_many_failed():
    rows = {row["text"]: row for row in measured(1)["rows"]}
    for text, kind in (
        ("of.a -= amount;", "hit"),
        ("if (of.undo.valid == 0) return repaired;", "never"),
    ):
        report.expect(
            text in rows and rows[text]["kind"] == kind,
            f"found {rows.get(text)}, expected {kind!r} for {text!r}",
        )
    report.expect(rows["of.a -= amount;"]["states"] > 0, f"found {rows['of.a -= amount;']}")
    for row in rows.values():
        report.expect(
            row["kind"] not in ("hit", "fails") or row["states"] > 0,
            f"found {row}, expected no colour of its own for a line without a state",
        )
    # The repair that is wrong is so in these two lines; the victim is not to blame.
    failing = {row["text"] for row in measured(1)["rows"] if row["failed"] > 0}
    report.expect(
        {"of.undo.valid = 0;", "of.a = of.undo.a;"} <= failing and "of.a -= amount;" not in failing,
        f"found {failing}",
    )


def a_click_on_a_line_tells_the_stacks_and_what_the_invariant_said():
    found = measured(1)
    report.expect(found["opened"] > 40, f"the row has grown by {found['opened']} pixels")
    for words in (
        "invariant violated",
        "not 1000",
        "then its heir was killed",
        "in outlive::killtest::testing::transfer()",
    ):
        report.expect(words in found["told"], f"{words!r} is not in {found['told']!r}")


def it_fits_a_phone():
    report.expect(
        '<meta name="viewport" content="width=device-width, initial-scale=1">' in page(),
        "a phone would show it as wide as a desk's screen",
    )
    for scheme in (1, 0):
        found = measured(scheme)
        report.expect(
            found["inner"] == WIDTH, f"the window is {found['inner']} pixels wide, expected {WIDTH}"
        )
        for state in ("closed", "open"):
            report.expect(
                found[state] <= WIDTH,
                f"with its rows {state} the page is {found[state]} pixels wide, "
                f"expected {WIDTH} at most",
            )


def it_is_dark_where_that_is_preferred():
    light, dark = measured(1), measured(0)
    report.expect(
        not light["dark"] and light["page"] > 700 and light["ink"] < 150,
        f"light: page {light['page']}, text {light['ink']} of 765",
    )
    report.expect(
        dark["dark"] and dark["page"] < 150 and dark["ink"] > 600,
        f"dark: page {dark['page']}, text {dark['ink']} of 765",
    )


sys.exit(
    report.run(
        [
            ("report_page.nothing_is_loaded_from_elsewhere", nothing_is_loaded_from_elsewhere),
            ("report_page.each_scenario_says_what_came_of_it", each_scenario_says_what_came_of_it),
            (
                "report_page.each_line_says_how_many_states_it_has_and_how_many_failed",
                each_line_says_how_many_states_it_has_and_how_many_failed,
            ),
            (
                "report_page.a_click_on_a_line_tells_the_stacks_and_what_the_invariant_said",
                a_click_on_a_line_tells_the_stacks_and_what_the_invariant_said,
            ),
            ("report_page.it_fits_a_phone", it_fits_a_phone),
            ("report_page.it_is_dark_where_that_is_preferred", it_is_dark_where_that_is_preferred),
        ]
    )
)
