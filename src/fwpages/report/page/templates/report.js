"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  // the colours of the figures: each class has one
  const probe = document.querySelector("#probe rect");
  const tone = (name, of = "fill") => { probe.setAttribute("class", name); return getComputedStyle(probe)[of]; };
  const live = new Map();

  // -- charts: stacked steps, zoomed by a drag, by function or by type, in pages or MiB

  const byType = (rows) => {
    const sums = new Map();
    for (const r of rows) {
      const kind = r.kind || r.label;
      const s = sums.get(kind);
      if (!s) sums.set(kind, { label: kind, kind, proven: r.proven, pages: r.pages.slice() });
      else {
        s.proven = s.proven && r.proven;
        s.pages = s.pages.map((n, i) => (n === null || r.pages[i] === null ? null : n + r.pages[i]));
      }
    }
    return [...sums.values()];
  };

  const words = (c, t) => (c.axis === "line" ? "line " + Math.round(t).toLocaleString("en") : t.toFixed(3) + " s");

  // counts that the input does not prove are hatched
  const hatched = (ink) => {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const g = tile.getContext("2d");
    g.fillStyle = colour("--ground");
    g.fillRect(0, 0, 8, 8);
    g.strokeStyle = ink;
    g.lineWidth = 2.5;
    g.beginPath();
    for (const d of [-8, 0, 8]) { g.moveTo(d, 8); g.lineTo(d + 8, 0); }
    g.stroke();
    return g.createPattern(tile, "repeat");
  };

  const drawChart = (box, c) => {
    const view = live.get(box);
    const rows = view.types ? byType(c.rows) : c.rows;
    const unit = view.mib ? 256 : 1;
    const below = c.times.map(() => 0);
    const edges = rows.map((r) => r.pages.map((n, i) => {
      below[i] += (n === null ? 0 : n) / unit;
      return n === null ? null : below[i];
    }));
    const step = uPlot.paths.stepped({ align: 1 });
    const show = (n) => (n === null || n === undefined ? "?" : n.toLocaleString("en", { maximumFractionDigits: view.mib ? 3 : 0 }));
    const fills = rows.map((r, i) => tone("s" + Math.min(i, 8)));
    // the highest row is drawn first: each hides what is below its own edge
    const order = rows.map((_, i) => rows.length - 1 - i);
    const series = [{ label: c.axis === "line" ? "line" : "time", value: (u, t) => (t === null ? "" : words(c, t)) }].concat(
      order.map((i) => ({
        label: (rows[i].label + " " + (rows[i].label === rows[i].kind ? "" : rows[i].kind)).trim() + (rows[i].proven ? "" : " (not proven)"),
        paths: step, stroke: fills[i], width: 1, fill: rows[i].proven ? fills[i] : hatched(fills[i]), points: { show: false },
        value: (u, v, s, idx) => (idx === null ? "" : show(rows[i].pages[idx] === null ? null : rows[i].pages[idx] / unit)),
      })),
    );
    const ink = colour("--quiet"), grid = tone("grid", "stroke");
    const axis = (more) => Object.assign({ stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" }, more);
    const options = {
      width: Math.max(300, box.clientWidth), height: 300, series,
      scales: { x: { time: false }, y: { range: (u, a, b) => [0, Math.max(1 / unit, (b || 0) * 1.05)] } },
      axes: [axis({ values: (u, ts) => ts.map((t) => t.toLocaleString("en", { maximumFractionDigits: 6 })),
        label: c.axis === "line" ? "line of the input" : c.origin ? "seconds since " + c.origin : "seconds", labelSize: 22, labelFont: "12px system-ui, sans-serif" }),
        axis({ size: 72, label: view.mib ? "MiB" : "pages of 4 KiB", labelSize: 20, labelFont: "12px system-ui, sans-serif" })],
      cursor: { drag: { x: true, y: false }, points: { show: false } },
      legend: { live: true },
      hooks: { draw: [(u) => marks(u, c)], setScale: [(u, key) => { if (key === "x") zoomed(box, u, c); }] },
    };
    if (view.plot) view.plot.destroy();
    const first = c.times[0], last = c.times[c.times.length - 1];
    if (first === last) options.scales.x.range = [first - 0.5, last + 0.5];
    view.plot = new uPlot(options, [c.times].concat(order.map((i) => edges[i])), view.place);
  };

  const zoomed = (box, u, c) => {
    const view = live.get(box);
    const { min, max } = u.scales.x;
    box.dataset.min = min;
    box.dataset.max = max;
    view.reset.disabled = min <= c.times[0] && max >= c.times[c.times.length - 1];
  };

  const marks = (u, c) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - 10 * devicePixelRatio, bbox.width, bbox.height + 10 * devicePixelRatio);
    ctx.clip();
    ctx.fillStyle = tone("gap");
    ctx.globalAlpha = Number(tone("gap", "fillOpacity"));
    for (const [from, to] of c.gaps) {
      const a = u.valToPos(from, "x", true), b = u.valToPos(to, "x", true);
      ctx.fillRect(a, bbox.top, Math.max(2 * devicePixelRatio, b - a), bbox.height);
    }
    ctx.globalAlpha = 1;
    for (const f of c.flags) {
      const x = u.valToPos(f.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = tone(f.kind === "finding" ? "badhead" : "flaghead");
      ctx.lineWidth = devicePixelRatio * (f.kind === "finding" ? 1.5 : 1);
      ctx.setLineDash(f.kind === "finding" ? [] : [3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const d = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x - d, bbox.top - 2 * d);
      ctx.lineTo(x + d, bbox.top - 2 * d);
      ctx.lineTo(x, bbox.top);
      ctx.fill();
    }
    ctx.restore();
  };

  const button = (text, pressed, act) => {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = text;
    if (pressed !== null) b.setAttribute("aria-pressed", String(pressed));
    b.addEventListener("click", act);
    return b;
  };

  const start = (box) => {
    if (live.has(box) || !box.clientWidth) return;
    const c = charts[Number(box.dataset.chart)];
    const tools = document.createElement("div"), place = document.createElement("div");
    tools.className = "tools";
    place.className = "plot";
    const view = { plot: null, types: false, mib: false, place };
    live.set(box, view);
    const toggle = (key, b) => { view[key] = !view[key]; b.setAttribute("aria-pressed", String(view[key])); drawChart(box, c); };
    const types = button("by type", false, () => toggle("types", types));
    const mib = button("MiB", false, () => toggle("mib", mib));
    view.reset = button("whole time", null, () => view.plot.setScale("x", { min: c.times[0], max: c.times[c.times.length - 1] }));
    view.reset.disabled = true;
    const hint = document.createElement("span");
    hint.textContent = "drag to zoom";
    if (c.rows.some((r) => r.kind && r.kind !== r.label)) tools.append(types);
    tools.append(mib, view.reset, hint);
    for (const f of c.flags.slice(0, 12)) {
      const s = document.createElement(f.link ? "a" : "span");
      if (f.link) s.href = "#" + f.link;
      s.textContent = "▾ " + words(c, f.at) + " " + (f.text.length > 60 ? f.text.slice(0, 59) + "…" : f.text);
      tools.append(s);
    }
    box.append(tools, place);
    box.classList.add("live");
    drawChart(box, c);
  };

  const boxes = [...document.querySelectorAll(".chart")];
  const seen = new IntersectionObserver((rows) => {
    for (const row of rows) if (row.isIntersecting) { seen.unobserve(row.target); start(row.target); }
  }, { rootMargin: "400px" });
  boxes.forEach((box) => seen.observe(box));
  const redraw = () => live.forEach((view, box) => { if (box.clientWidth) drawChart(box, charts[Number(box.dataset.chart)]); });
  dark.addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });

  // -- a link opens the session that it leads to; paper shows all of them

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const part = target && target.closest("details");
    if (part) { part.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("beforeprint", () => {
    const parts = [...document.querySelectorAll("details.part")];
    parts.forEach((p) => { if (parts.length <= 16 || p.querySelector(".finding")) p.open = true; });
  });

  // -- tables: a click on a heading sorts, from the highest or from A on; a filter hides rows

  for (const table of document.querySelectorAll("table.data")) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const counts = head.classList.contains("n");
      const up = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "descending" : !counts;
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column];
        return counts ? (cell.dataset.v === "" ? -1 : Number(cell.dataset.v)) : cell.textContent;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (counts ? a - b : a.localeCompare(b, "en", { numeric: true })) * (up ? 1 : -1));
      body.append(...rows.map(([, row]) => row));
    }));
    const filter = table.closest(".grid").querySelector(".filter");
    if (filter) filter.addEventListener("input", () => {
      const text = filter.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(text);
    });
  }
})();
