"""How the page looks and the few lines that sort its table. This module must not know what the page says."""

from __future__ import annotations

import base64
import hashlib

from edgecnn.bench.pictures.palette import PALETTE


def _variables(side: int) -> str:
    return "".join(f"--{role}:{colors[side]};" for role, colors in PALETTE.items())


def _roles() -> str:
    """Return the classes by which a drawing's marks are coloured: filled, stroked, written."""
    return "".join(
        f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role});}}.t-{role}{{fill:var(--{role})}}\n"
        for role in PALETTE
    )


_LAYOUT = """
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);color-scheme:light dark;-webkit-text-size-adjust:100%}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;
 margin:0 auto;max-width:1240px;padding:28px 20px 60px;font-variant-numeric:tabular-nums}
h1{font-size:1.55rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:40px 0 10px}
p{margin:6px 0;max-width:90ch}
h1+p,section>p:first-child{max-width:none}
a{color:inherit}
.muted,figcaption,.small{color:var(--muted)}
.small{font-size:.8rem;line-height:1.35}
.verdict{border:1px solid var(--grid);border-left:5px solid var(--good);border-radius:8px;background:var(--band);
 padding:16px 20px;margin:20px 0 8px}
.verdict .sentence{font-size:1.2rem;line-height:1.4;margin:0;max-width:none}
.verdict.none{border-left-color:var(--bad)}
.verdict b{overflow-wrap:anywhere}
.facts{display:flex;flex-wrap:wrap;gap:14px 34px;margin:14px 0 8px;padding:0}
.facts div{min-width:110px}
.facts dt{font-size:1.35rem;font-weight:650;line-height:1.2}
.facts dd{margin:0;color:var(--muted);font-size:.85rem}
.because{font-size:.9rem;color:var(--muted);margin:2px 0;max-width:100ch}
.scroll{overflow-x:auto;border:1px solid var(--grid);border-radius:8px}
.fit{width:fit-content;max-width:100%}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.85rem}
th,td{padding:6px 8px;text-align:right;vertical-align:top;border-bottom:1px solid var(--grid);white-space:nowrap}
tr:last-child>td,tr:last-child>th{border-bottom:0}
thead th{font-size:.78rem;
 font-weight:600;color:var(--muted);vertical-align:bottom;line-height:1.3;background:var(--paper)}
thead th:first-child{white-space:normal;overflow-wrap:anywhere;max-width:380px}
th:first-child{text-align:left;position:sticky;left:0;background:var(--paper);z-index:1}
tbody th{font-weight:400;white-space:normal;overflow-wrap:anywhere;min-width:215px;max-width:380px}
tbody tr:nth-child(even)>*{background:var(--band)}
tbody tr.best>th{box-shadow:inset 4px 0 0 var(--good)}
tbody tr.reference>*{border-bottom:2px solid var(--base)}
td .small,th .small,dd .small{display:block}
table.hosts{width:auto}
table.hosts thead th:not(:first-child){white-space:normal;max-width:240px}
td b{font-weight:650}
.key{display:inline-block;width:.72em;height:.72em;border-radius:2px;margin-right:.5em}
.k-tflite{background:var(--tflite)}.k-onnx{background:var(--onnx)}.k-keras{background:var(--keras)}
.faster,.ok{color:var(--good)}.slower,.failed,.disturbed{color:var(--bad)}
td.reason{white-space:normal;text-align:left;color:var(--muted);min-width:260px;overflow-wrap:anywhere}
th button{all:unset;cursor:pointer}
th button:focus-visible{outline:2px solid var(--tflite);outline-offset:2px}
th button::after{content:"\\2195";opacity:.35;margin-left:.3em}
th[aria-sort=ascending] button::after{content:"\\2191";opacity:1}
th[aria-sort=descending] button::after{content:"\\2193";opacity:1}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:28px 32px;
 align-items:start}
.pictures>*{min-width:0;margin:0;max-width:680px}
figure h3,.beside h3{font-size:1rem;margin:0 0 6px}
figcaption{font-size:.85rem;line-height:1.4;margin-top:6px}
svg{display:block;width:100%;height:auto;font-family:inherit;font-size:13px}
svg path{fill:none}
svg .halo{stroke:var(--band);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
dl.method{display:grid;grid-template-columns:minmax(110px,max-content) 1fr;gap:4px 18px;margin:8px 0}
dl.method dt{color:var(--muted)}
dl.method dd{margin:0;overflow-wrap:anywhere}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
ul{margin:6px 0;padding-left:1.2em}
li{margin:4px 0;overflow-wrap:anywhere;max-width:110ch}
h2.machine{font-size:1.35rem;border-top:3px solid var(--base);margin:56px 0 4px;padding-top:12px}
footer{margin-top:48px;border-top:1px solid var(--grid);padding-top:10px}
@media (max-width:640px){
 body{padding:16px 12px 40px;font-size:14px}
 h1{font-size:1.25rem}
 .verdict{padding:12px 14px}.verdict .sentence{font-size:1.05rem}
 .facts{gap:10px 22px}.facts dt{font-size:1.1rem}.facts div{min-width:90px}
 tbody th{min-width:138px;max-width:150px;font-size:.8rem}
 th,td{padding:6px 7px}
 td.reason div{position:sticky;left:150px;width:fit-content;max-width:calc(100vw - 190px)}
 dl.method{grid-template-columns:1fr}dl.method dd{margin-bottom:6px}
}
@media print{
 @page{margin:12mm}
 html{font-size:12px}
 body{max-width:none;padding:0;font-size:10pt}
 .scroll{overflow:visible;border:0}
 table{font-size:7.2pt}
 th,td{padding:3px 4px}
 tbody th{min-width:0;max-width:none;position:static}
 td .small,th .small{font-size:6.2pt}
 tr,figure,.verdict{break-inside:avoid}
 h2,h3{break-after:avoid}
 thead{display:table-header-group}
 th button::after{content:none}
 *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
 .pictures{grid-template-columns:1fr 1fr;gap:14px}
}
"""

STYLE = (
    f":root{{{_variables(0)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}\n"
    f"{_LAYOUT}{_roles()}"
)

#: Makes each heading a button that sorts by it. The reference stays on top; rows without the figure go last.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(head.firstChild);
    head.prepend(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.querySelector(`[data-key="${head.dataset.key}"]`)?.dataset.value;
      const order = (a, b) => {
        if (a.matches(".reference") !== b.matches(".reference")) return a.matches(".reference") ? -1 : 1;
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const found = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
        return up ? found : -found;
      };
      body.append(...[...body.rows].sort(order));
    });
  }
}
"""

#: Nothing is loaded from anywhere, and no script runs but the one above: what a file's name holds stays a name.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
