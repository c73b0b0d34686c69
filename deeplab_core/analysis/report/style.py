"""Style sheet of the report. Colours are tokens, declared once for light and once for dark."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b1f27; --quiet: #5b6472; --line: #dde1e8;
  --accent: #2563c9; --second: #b45309;
  --third: #0f766e; --fourth: #9333a8; --fifth: #be123c;
  --good: 20 140 110; --bad: 214 90 40; --warn-page: #fff5e2; --warn-line: #e3b35c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --card: #1c2027; --text: #e4e8ee; --quiet: #98a2b1; --line: #313743;
    --accent: #6ea6ff; --second: #f0a95a;
    --third: #4fd1b5; --fourth: #d49bea; --fifth: #fb7a90;
    --good: 30 145 115; --bad: 196 88 44; --warn-page: #33291a; --warn-line: #8a6a2f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 14px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 0 0 4px; }
p { margin: 0 0 8px; } .quiet, figcaption { color: var(--quiet); }
.rule { color: var(--quiet); font-size: 13px; max-width: 100ch; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
section { padding: 16px 20px 20px; margin-top: 16px; }
.warning { background: var(--warn-page); border-color: var(--warn-line); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(176px, 1fr)); gap: 12px; margin-top: 20px; }
.tile small { display: block; color: var(--quiet); font-size: 12px; font-variant-numeric: tabular-nums; }
.beside { display: flex; flex-wrap: wrap; gap: 24px; align-items: center; } .half { width: 440px; max-width: 100%; }
.beside .scroll { flex: 1 1 420px; } td.quiet { color: var(--quiet); }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(520px, 1fr)); gap: 16px; margin-top: 8px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; break-inside: avoid; min-width: 0; }
.card h3 { font-size: 13px; font-weight: 400; margin: 0 0 6px; display: flex; justify-content: space-between; gap: 12px;
  overflow-wrap: anywhere; }
.case { display: flex; gap: 8px; } .case figure { flex: 1 1 0; min-width: 0; margin: 0; }
.case img { width: 100%; display: block; border-radius: 4px; } .case figcaption { font-size: 12px; }
.tile { padding: 12px 16px; } .tile b { display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.scroll { overflow: auto; max-height: 800px; margin-top: 8px; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
table.wide { width: 100%; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); } thead th { position: sticky; top: 0; background: var(--card); z-index: 1; }
th.name, td.name { text-align: left; } td.name { overflow-wrap: anywhere; white-space: normal; min-width: 120px; }
td.file { min-width: 240px; }
tbody th { position: sticky; left: 0; background: var(--card); color: var(--text); font-weight: 400; text-align: left; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 8px; vertical-align: -1px;
  border: 1px solid rgb(128 128 128 / .6); }
table.heat td, table.heat th { padding: 3px 7px; font-size: 12px; border: 0; }
table.heat thead th { height: 104px; vertical-align: bottom; }
table.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; }
table.heat thead th:first-child { left: 0; z-index: 2; }
td.hit { background: rgb(var(--good) / var(--v)); } td.miss { background: rgb(var(--bad) / var(--v)); }
td.zero { color: var(--quiet); }
figure { margin: 8px 0 0; } svg { width: 100%; height: auto; display: block; max-width: 880px; }
svg text { fill: var(--quiet); font: 12px system-ui, "Segoe UI", Roboto, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg path { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .a { stroke: var(--accent); } svg .b { stroke: var(--second); } svg .whole { stroke-dasharray: 4 4; stroke-width: 1; }
svg .c { stroke: var(--third); } svg .d { stroke: var(--fourth); } svg .e { stroke: var(--fifth); }
svg circle.c { fill: var(--third); } svg circle.d { fill: var(--fourth); } svg circle.e { fill: var(--fifth); }
svg text.e { fill: var(--fifth); font-weight: 600; stroke: none; }
svg text.c { fill: var(--third); font-weight: 600; stroke: none; }
svg text.d { fill: var(--fourth); font-weight: 600; stroke: none; }
svg path.whisker { stroke-width: 1.2; stroke: var(--text); } svg path.whole { stroke: var(--quiet); }
svg path.a.whole { stroke: var(--accent); } svg path.b.whole { stroke: var(--second); }
svg path.a.whisker { stroke: var(--accent); } svg path.b.whisker { stroke: var(--second); }
svg path.c.whisker { stroke: var(--third); } svg path.d.whisker { stroke: var(--fourth); }
svg rect.bar { fill: var(--accent); fill-opacity: .55; } svg rect.chip { stroke: none; }
svg rect.gap { fill: rgb(var(--bad) / .35); } svg rect.share { fill: var(--text); fill-opacity: .55; }
svg.heat text { fill: var(--quiet); } svg.heat text.figure { fill: var(--text); font-size: 11px; pointer-events: none; }
svg.heat rect.hit { fill: rgb(var(--good) / var(--v)); } svg.heat rect.miss { fill: rgb(var(--bad) / var(--v)); }
svg.heat rect.frame { fill: none; stroke: var(--line); }
svg circle.a { fill: var(--accent); } svg circle.b { fill: var(--second); }
svg text.a { fill: var(--accent); font-weight: 600; stroke: none; }
svg text.b { fill: var(--second); font-weight: 600; stroke: none; }
summary { cursor: pointer; color: var(--quiet); margin-top: 4px; }
ul { margin: 4px 0 0; padding-left: 20px; } code { font: 12px ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
@media (max-width: 640px) { .cases { grid-template-columns: 1fr; } }
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #1b1f27; --quiet: #5b6472; --line: #dde1e8;
    --accent: #2563c9; --second: #b45309;
  --third: #0f766e; --fourth: #9333a8; --fifth: #be123c;
  --good: 20 140 110; --bad: 214 90 40; }
  main { padding: 0; max-width: none; } .scroll { max-height: none; overflow: visible; }
  figure, .tile, .card, tr { break-inside: avoid; } h2, .rule { break-after: avoid; }
  * { print-color-adjust: exact; }
  table { font-size: 11px; } th, td { padding: 3px 6px; white-space: normal; }
}
"""
