"""One page about some simulations that needs nothing else: no request leaves it, no script runs."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from zoe.sim.measures import MEASURES, of_class
from zoe.sim.report import Run, Verdict, comparison, table

STYLE = """
:root{color-scheme:light dark;--page:#f4f6f8;--card:#fff;--ink:#1c2430;--soft:#5b6675;
--rule:#e3e7ec;--better:#00694f;--worse:#b03a00}
@media(prefers-color-scheme:dark){:root{--page:#0f1216;--card:#171b21;--ink:#e6eaf0;--soft:#9aa5b4;
--rule:#2b323c;--better:#2ec4a0;--worse:#ff8a4c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:26px;line-height:1.25;margin:0 0 16px;overflow-wrap:anywhere}
h2{font-size:18px;margin:32px 0 10px}
h3{font-size:15px;margin:18px 0 6px}
p,li{color:var(--soft);max-width:78ch;margin:6px 0}
section,.card{min-width:0}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 16px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto;padding:4px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:5px 16px;text-align:right;white-space:nowrap;border-top:1px solid var(--rule)}
tr:first-child th{border-top:0;max-width:22em;overflow:hidden;text-overflow:ellipsis}
th{font-weight:600}
th:first-child{text-align:left;font-weight:400;color:var(--soft);position:sticky;left:0;
background:var(--card)}
.better{color:var(--better);font-weight:600}
.worse{color:var(--worse);font-weight:600}
.unclear{color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:16px;
align-items:start}
.plots .card{padding:8px}
summary{cursor:pointer;font-weight:600}
details{margin-top:10px}
pre{overflow:auto;max-height:320px;font-size:13px;margin:8px 0 0}
@media(max-width:600px){main{padding:18px 12px 32px}th,td{padding:5px 8px;font-size:13px}
th:first-child{white-space:normal;min-width:104px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media print{body{background:#fff}.card{break-inside:avoid}}
"""


def page(
    title: str,
    facts: Mapping[str, str],
    runs: Sequence[Run],
    drawings: Mapping[str, str],
    skipped: Sequence[str] = (),
    skipped_count: int = 0,
) -> str:
    """Return the page: ``facts`` say what was simulated, ``drawings`` are SVG texts.

    ``skipped`` are the lines of the input that could not be used, with the reasons: all of them, or
    the first of ``skipped_count``. Everything but the drawings is escaped.
    """
    name = escape(title)
    parts = [
        f"<h1>{name}</h1>",
        f'<dl class="card">{"".join(_fact(key, value) for key, value in facts.items())}</dl>',
        _section("Results", _about_results(runs) + _table(table(runs), _meanings())),
    ]
    if compared := comparison(runs):
        about = (
            "<p>The difference, seed by seed: the same seed gives the same executions. It is "
            "called better or worse where its 95 % interval does not hold 0.</p>"
        )
        parts.append(
            _section(f"Compared with {escape(runs[0].name)}", about + _table(compared, _meanings()))
        )
    if drawings:
        cards = "".join(f'<div class="card">{svg}</div>' for svg in drawings.values())
        parts.append(_section("Over time", f'<div class="plots">{cards}</div>'))
    if classes := sorted({name for run in runs for name in run.metrics.classes}):
        details = "".join(_details(name, _table(table(runs, of_class(name)))) for name in classes)
        parts.append(_section("By class of executions", details))
    parts.append(_section("What the numbers mean", _definitions()))
    if skipped:
        parts.append(_section("Skipped lines of the input", _skipped(skipped, skipped_count)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{heading}</h2>{body}</section>"


def _fact(key: str, value: str) -> str:
    return f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>"


def _about_results(runs: Sequence[Run]) -> str:
    seeds = len({run.seed for run in runs})
    if seeds < 2:
        return "<p>One seed each: nothing says how far chance would move these.</p>"
    return f"<p>Means over {seeds} seeds, ± half of the 95 % interval (Student).</p>"


def _table(rows: Iterable[Sequence[str]], meanings: Mapping[str, str] | None = None) -> str:
    """Return a table with headings above and at the left; ``meanings`` are by left heading."""
    heading, *others = rows
    lines = "".join(
        f'<th scope="col" title="{escape(cell)}">{escape(cell)}</th>' for cell in heading
    )
    for first, *cells in others:
        meaning = (meanings or {}).get(first.split(" (")[0], "")
        line = f'<th scope="row" title="{escape(meaning)}">{escape(first)}</th>'
        lines += f"</tr><tr>{line}{''.join(map(_cell, cells))}"
    return f'<div class="card wide"><table><tr>{lines}</tr></table></div>'


def _cell(text: str) -> str:
    for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.UNCLEAR):
        if text.endswith(verdict):
            before = escape(text.removesuffix(verdict))
            return f'<td>{before}<span class="{verdict}">{verdict}</span></td>'
    return f"<td>{escape(text)}</td>"


def _details(name: str, body: str) -> str:
    return f"<details><summary>{escape(name)}</summary>{body}</details>"


def _meanings() -> dict[str, str]:
    return {measure.title: measure.means for measure in MEASURES}


def _definitions() -> str:
    return f'<dl class="card">{"".join(_fact(*pair) for pair in _meanings().items())}</dl>'


def _skipped(lines: Sequence[str], count: int) -> str:
    count = max(count, len(lines))
    more = [f"and {count - len(lines):,} more"] if count > len(lines) else []
    shown = "\n".join([*lines, *more])
    return (
        f"<p>{count:,} could not be used; the results are without them.</p>"
        f'<pre class="card">{escape(shown)}</pre>'
    )
