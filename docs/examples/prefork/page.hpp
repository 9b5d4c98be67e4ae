// The page. It sends one visit after the other, and shows what it is told.
#pragma once

namespace prefork {

// @visitor@ is replaced by the number of the visitor.
inline constexpr const char* page = R"HTML(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>prefork</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 34rem; margin: 3rem auto; padding: 0 1rem; }
  #hits { font-size: 4rem; font-weight: 700; font-variant-numeric: tabular-nums; line-height: 1; }
  table { border-collapse: collapse; margin: 1.5rem 0; }
  td { padding: .1rem 1.5rem .1rem 0; }
  td:last-child { font-variant-numeric: tabular-nums; }
</style>
<h1>A hit counter that outlives its workers</h1>
<p><span id="hits">-</span> hits
<table>
  <tr><td>visits of this page<td id="visits">0
  <tr><td>requests that got no answer, and were sent again<td id="lost">0
  <tr><td>worker that answered<td id="worker">-
  <tr><td>workers that have died<td id="deaths">0
  <tr><td>repairs of the counter<td id="repairs">0
</table>
<button id="button">Stop</button> <span id="state">visiting</span>
<script>
"use strict";
const visitor = @visitor@;
const show = (id, value) => { document.getElementById(id).textContent = value; };
let visits = 0, lost = 0, stopping = false;

// The number makes it one visit, however often it is sent.
async function visit() {
  if (stopping) return show("state", "stopped");
  try {
    const answer = await fetch(`/hit?visitor=${visitor}&visit=${visits + 1}`);
    const told = await answer.json();
    if (!answer.ok) return show("state", told.error);
    ++visits;
    for (const id of ["hits", "worker", "deaths", "repairs"]) show(id, told[id]);
    show("visits", visits);
  } catch (error) {
    show("lost", ++lost);
  }
  setTimeout(visit, 20);
}

document.getElementById("button").addEventListener("click", () => { stopping = true; });
visit();
</script>
</html>
)HTML";

}  // namespace prefork
