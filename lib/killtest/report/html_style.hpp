// The look of the HTML page. Colours are variables, defined twice: for light and for dark. Rows are
// grids whose last column may break its words, so that the page is never wider than a phone.
#pragma once

namespace outlive::killtest::detail {

inline constexpr char html_style[] = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --quiet: #59636e; --line: #d1d9e0; --panel: #f6f8fa;
  --good: #116329; --good-back: #dafbe1; --bad: #a40e26; --bad-back: #ffebe9; --never: #7a5200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --line: #3d444d; --panel: #151b23;
    --good: #5fd37b; --good-back: #12261a; --bad: #ff8182; --bad-back: #3a1418; --never: #e3b341;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
summary { cursor: pointer; }
a { color: inherit; }
code, .source, .stack { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .8125rem; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .875rem; }
.badge { display: inline-block; padding: 0 .5rem; border-radius: 1rem; font-size: .875rem; font-weight: 600; white-space: nowrap; }
.badge.ok { color: var(--good); background: var(--good-back); }
.badge.failed, .badge.broken { color: var(--bad); background: var(--bad-back); }
.scenario, .file { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; overflow: hidden; }
.scenario { padding: .75rem; }
.scenario > header { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; justify-content: space-between; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .25rem .75rem; margin: .5rem 0 0; }
.figures div { display: flex; flex-direction: column; }
.figures dt { color: var(--quiet); font-size: .8125rem; }
.figures dd { margin: 0; font-variant-numeric: tabular-nums; }
.failure { border-left: 3px solid var(--bad); padding: .25rem 0 .25rem .75rem; margin: .75rem 0 0; }
.death { margin: .5rem 0; }
.stack { margin: .125rem 0 0; padding-left: 1.5rem; }
.file > summary { padding: .5rem .75rem; background: var(--panel); overflow-wrap: anywhere; }
.row, .row > summary, .heads { display: grid; grid-template-columns: 3rem 3.25rem 3.25rem minmax(0, 1fr); column-gap: .5rem; }
details.row { display: block; }
.row > summary { list-style: none; }
.row > summary::-webkit-details-marker { display: none; }
.heads { padding: .25rem .5rem .25rem 0; color: var(--quiet); font-size: .75rem; border-bottom: 1px solid var(--line); text-align: right; }
.heads :last-child { text-align: left; }
.source { padding-right: .5rem; border-left: 3px solid transparent; }
.source .n, .source .states, .source .bad { text-align: right; font-variant-numeric: tabular-nums; }
.source .n { color: var(--quiet); }
.source .text { white-space: break-spaces; tab-size: 4; }
.hit { border-left-color: var(--good); }
.hit > summary { background: var(--good-back); }
.seen { border-left-color: var(--quiet); }
.fails { border-left-color: var(--bad); }
.fails > summary { background: var(--bad-back); }
.fails .bad { color: var(--bad); font-weight: 700; }
.never { border-left-color: var(--never); border-left-style: dashed; }
.never .mark { grid-column: span 2; text-align: right; color: var(--never); }
.hit > summary:hover .text, .seen > summary:hover .text, .fails > summary:hover .text { text-decoration: underline dotted; }
.why { padding: .5rem .75rem; margin: 0; border-bottom: 1px solid var(--line); font-family: system-ui, sans-serif; font-size: .875rem; background: var(--panel); }
.gap { color: var(--quiet); text-align: center; font-size: .75rem; border-block: 1px solid var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .875rem; }
.legend span { border-left: 3px solid; padding: 0 .5rem; }
.legend .l-hit { border-color: var(--good); background: var(--good-back); }
.legend .l-seen { border-color: var(--quiet); }
.legend .l-fails { border-color: var(--bad); background: var(--bad-back); }
.legend .l-never { border-color: var(--never); border-left-style: dashed; }
@media (max-width: 40rem) {
  body { padding: .75rem; }
  code, .source, .stack { font-size: .75rem; }
  .row, .row > summary, .heads { grid-template-columns: 2rem 2.25rem 2.25rem minmax(0, 1fr); column-gap: .375rem; }
  .heads { font-size: .6875rem; }
}
)css";

}  // namespace outlive::killtest::detail
