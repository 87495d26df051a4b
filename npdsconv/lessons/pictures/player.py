"""A film of small matrices as one piece of HTML: SVG, a little JavaScript, buttons, nothing from elsewhere.

Python draws the last frame, so that a reader without scripts sees the result. The script only changes texts and
marks. It never starts by itself, and where the reader has asked for reduced motion nothing fades.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from npdsconv.lessons.pictures.convolution import number
from npdsconv.plots import INPUT, WINDOW
from npdsconv.shapes import Array, Pair

Place = tuple[str, int, int]  # name of the grid, row, column

CELL, LABEL = 32, 15  # size of a cell, and of the margin for labels


class Grid(NamedTuple):
    """A matrix of numbers on the stage.

    Attributes
    ----------
    name : how frames call it
    title : what stands above it, beside its shape
    values : (rows, columns), as they are at the end
    colour : its colour, by kind of thing
    area : "a" to "e", where it stands: three above (a, b, e) and two below (c, d)
    rows, columns : labels
    pale : cells that are padding
    """

    name: str
    title: str
    values: Array
    colour: str
    area: str
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    pale: Iterable[Pair] = ()


class Frame(NamedTuple):
    """One step: what is said, what is written (it stays), what is marked and noted small (for this step only)."""

    say: str
    write: Mapping[Place, str]
    marks: Sequence[Place] = ()
    notes: Mapping[Place, str] = {}


class Film:
    """Grids and frames; a notebook shows it. ``html()`` is the page, ``state(k)`` the numbers after frame k."""

    def __init__(self, title: str, grids: Sequence[Grid], frames: Sequence[Frame]) -> None:
        self.title, self.grids, self.frames = title, list(grids), list(frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Film({self.title!r}, {len(self)} steps)"

    def state(self, k: int) -> dict[Place, str]:
        """The text of every cell that has been written up to frame `k`."""
        cells = {
            (grid.name, r, c): number(grid.values[r, c])
            for grid in self.grids
            for r, c in np.ndindex(grid.values.shape)
        }
        for frame in self.frames[: k + 1]:
            cells |= frame.write
        return cells

    def html(self) -> str:
        """The film as a fragment of HTML in ASCII: it can stand alone, in a page or in a notebook."""
        index, grids = self._index(), []
        for area in "abecd":
            here = [self._figure(grid, index) for grid in self.grids if grid.area == area]
            if here:
                grids.append(f'<div class="npf-{area}">{"".join(here)}</div>')
        film = [
            [
                frame.say,
                {index[place]: text for place, text in frame.write.items()},
                [index[place] for place in frame.marks],
                {
                    index[place]: text.replace("×", "x") for place, text in frame.notes.items()
                },  # one byte for six
            ]
            for frame in self.frames
        ]
        data = json.dumps(film, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
        last = len(self) - 1
        page = _PAGE.format(
            style=_STYLE.replace("CELL", str(CELL)),
            title=escape(self.title),
            grids="".join(grids),
            say=escape(self.frames[-1].say),
            last=last,
            film=data,
            script=_SCRIPT,
        )
        return page.encode("ascii", "xmlcharrefreplace").decode()

    def _repr_html_(self) -> str:
        return self.html()

    def _index(self) -> dict[Place, int]:
        places = ((g.name, r, c) for g in self.grids for r, c in np.ndindex(g.values.shape))
        return {place: k for k, place in enumerate(places)}

    def _figure(self, grid: Grid, index: Mapping[Place, int]) -> str:
        rows, columns = grid.values.shape
        left, top = LABEL + 6 if grid.rows else 1, LABEL if grid.columns else 1
        width, height = left + columns * CELL + 1, top + rows * CELL + 1
        pale, parts = set(grid.pale), []
        for c, text in enumerate(grid.columns):
            parts.append(f'<text class="npf-l" x="{left + (c + 0.5) * CELL:g}" y="10">{text}</text>')
        for r, text in enumerate(grid.rows):
            parts.append(
                f'<text class="npf-l" x="{left / 2:g}" y="{top + (r + 0.5) * CELL + 3:g}">{text}</text>'
            )
        for r, c in np.ndindex(rows, columns):
            x, y = left + c * CELL, top + r * CELL
            kind = ' class="npf-p"' if (r, c) in pale else ""
            parts.append(
                f'<g data-k="{index[grid.name, r, c]}"{kind}><rect x="{x}" y="{y}"/>'
                f'<text x="{x + CELL // 2}" y="{y + 20}">{escape(number(grid.values[r, c]))}</text></g>'
            )
        shape = f"({rows}, {columns})"
        mark = (
            WINDOW if grid.colour == INPUT else grid.colour
        )  # a window is orange, a tap green, an output red
        return (
            f'<figure style="--c:{grid.colour};--m:{mark}"><figcaption><b>{escape(grid.title)}</b> {shape}</figcaption>'
            f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
            f'aria-label="{escape(grid.title)}, {rows} rows, {columns} columns">{"".join(parts)}</svg></figure>'
        )


_STYLE = """
.npf{container-type:inline-size;color-scheme:light dark;--ink:#222;--bg:#fff;--dim:#666;--line:#bbb;
--ink:light-dark(#222,#e8e8e8);--bg:light-dark(#fff,#1c1e22);--dim:light-dark(#666,#a6a6a6);
--line:light-dark(#bbb,#555);background:var(--bg);color:var(--ink);border:1px solid var(--line);
border-radius:8px;padding:12px;max-width:720px;margin:1em auto;box-sizing:border-box;
font:15px/1.4 system-ui,sans-serif;text-align:left}
body[data-theme=light] .npf,body[data-jp-theme-light=true] .npf{color-scheme:light}
body[data-theme=dark] .npf,body[data-jp-theme-light=false] .npf,body.vscode-dark .npf{color-scheme:dark}
.npf:focus-visible,.npf :focus-visible{outline:2px solid #4C78A8;outline-offset:2px}
.npf-t{font-weight:600;margin:0 0 8px}
.npf-s{display:grid;gap:8px 18px;grid-template-areas:"a b e" "c d e";justify-content:start;align-items:start}
.npf-a{grid-area:a;display:flex;gap:14px}.npf-b{grid-area:b}.npf-c{grid-area:c;place-self:end}
.npf-d{grid-area:d}.npf-e{grid-area:e}
@container (max-width:660px){.npf-s{grid-template-areas:"a e" "b b" "c c" "d d"}.npf-c{place-self:start}}
@container (max-width:330px){.npf-s{gap:8px}.npf-a{gap:8px}}
.npf figure{margin:0;padding:0;min-width:0;border:0}
.npf figcaption{font-size:13px;color:var(--dim);margin:0 0 2px;padding:0;white-space:nowrap;text-align:left}
.npf figcaption b{color:var(--ink)}
.npf svg{display:block;max-width:100%;height:auto;overflow:visible;background:none}
.npf rect{width:CELLpx;height:CELLpx;fill:var(--c);fill-opacity:.24;stroke:var(--bg);stroke-width:2;
transition:fill-opacity .25s}
.npf text{font:15px system-ui,sans-serif;fill:var(--ink);text-anchor:middle}
.npf .npf-p rect{fill-opacity:.05;stroke:var(--line);stroke-width:.5}.npf .npf-p text{fill:var(--dim)}
.npf .npf-l{font-size:10px;fill:var(--dim)}
.npf .npf-o rect{fill-opacity:.06}
.npf .npf-m rect{fill:var(--m);fill-opacity:1}
.npf .npf-m text{fill:#111;font-weight:600}
.npf .npf-n{font-size:9.5px;font-weight:400;fill:var(--dim)}.npf .npf-m .npf-n{fill:#111}
.npf-y{min-height:2.8em;margin:10px 0 6px}
.npf-z{display:flex;gap:6px;align-items:center}
.npf button{font:inherit;min-width:40px;min-height:36px;padding:2px 8px;color:var(--ink);background:none;
border:1px solid var(--line);border-radius:6px;cursor:pointer}
.npf input{flex:1;min-width:60px;accent-color:#4C78A8}
.npf output{font-size:13px;color:var(--dim);min-width:3.6em;text-align:right;font-variant-numeric:tabular-nums}
@media (prefers-reduced-motion:reduce){.npf rect{transition:none}}
"""

_SCRIPT = """
(function(){
document.querySelectorAll('.npf:not([data-on])').forEach(function(box){
 box.dataset.on=1;
 var film=JSON.parse(box.querySelector('.npf-f').textContent),cells=[],at=0,timer=0,
  say=box.querySelector('.npf-y'),bar=box.querySelector('input'),out=box.querySelector('output'),
  play=box.querySelector('[data-do=play]'),last=film.length-1,
  calm=window.matchMedia&&matchMedia('(prefers-reduced-motion:reduce)').matches;
 box.querySelectorAll('g[data-k]').forEach(function(g){
  var t=g.querySelector('text'),n=t.cloneNode();
  n.setAttribute('class','npf-n');n.setAttribute('x',+t.getAttribute('x')+14);
  n.setAttribute('y',+t.getAttribute('y')+10);n.style.textAnchor='end';
  g.appendChild(n);cells[g.dataset.k]={g:g,t:t,n:n,end:t.textContent};
 });
 function show(k){
  at=Math.max(0,Math.min(last,k));
  var text=cells.map(function(c){return c.end}),note={},marks={},f=film[at];
  for(var i=0;i<=at;i++)for(var w in film[i][1])text[w]=film[i][1][w];
  f[2].forEach(function(m){marks[m]=1});note=f[3];
  cells.forEach(function(c,i){
   c.t.textContent=text[i];c.n.textContent=(note[i]||'').replace('x','\\u00D7');
   c.g.classList.toggle('npf-m',!!marks[i]);c.g.classList.toggle('npf-o',text[i]==='');
  });
  say.textContent=f[0];bar.value=at;out.textContent=at+' / '+last;
  bar.setAttribute('aria-valuetext','step '+at+' of '+last+': '+f[0]);
 }
 function stop(){clearInterval(timer);timer=0;play.textContent='\\u25B6';play.setAttribute('aria-label','play');
  say.setAttribute('aria-live','polite')}
 function start(){if(at===last)show(0);play.textContent='\\u275A\\u275A';play.setAttribute('aria-label','pause');
  say.setAttribute('aria-live','off');
  timer=setInterval(function(){if(!document.contains(box))return clearInterval(timer);
   if(at<last)show(at+1);if(at===last)stop()},calm?2600:1400)}
 var acts={first:function(){stop();show(0)},back:function(){stop();show(at-1)},
  next:function(){stop();show(at+1)},play:function(){timer?stop():start()},end:function(){stop();show(last)}};
 box.addEventListener('click',function(e){var b=e.target.closest('[data-do]');if(b)acts[b.dataset.do]()});
 bar.addEventListener('input',function(){stop();show(+bar.value)});
 box.addEventListener('keydown',function(e){
  var a={ArrowLeft:'back',ArrowRight:'next',Home:'first',End:'end',' ':'play'}[e.key];
  if(!a||e.ctrlKey||e.metaKey||e.altKey)return;
  if(e.key===' '&&e.target.tagName==='BUTTON')return;
  e.preventDefault();e.stopPropagation();acts[a]();
 });
 stop();show(0);
});
})();
"""

_PAGE = """<div class="npf" tabindex="0" role="group" aria-label="{title}" data-lm-suppress-shortcuts="true">
<style>{style}</style>
<div class="npf-t">{title}</div>
<div class="npf-s">{grids}</div>
<div class="npf-y">{say}</div>
<div class="npf-z"><button type="button" data-do="first" aria-label="first step">|&#9664;</button>
<button type="button" data-do="back" aria-label="step back">&#8249;</button>
<button type="button" data-do="play" aria-label="play">&#9654;</button>
<button type="button" data-do="next" aria-label="step forward">&#8250;</button>
<input type="range" min="0" max="{last}" value="{last}" aria-label="step"><output>{last} / {last}</output></div>
<script type="application/json" class="npf-f">{film}</script>
<script>{script}</script>
</div>
"""
