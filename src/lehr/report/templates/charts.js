"use strict";
{
  const COLOURS = 8;
  const DASHES = [[], [6, 4], [2, 3], [9, 3, 2, 3]];
  const FIRST = 8;
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const stroke = (index) => colour(`--c${index % COLOURS}`);
  const dash = (series, index) => series.dashed ? DASHES[1] : DASHES[Math.floor(index / COLOURS) % DASHES.length];
  const number = (value) => value === null || value === undefined ? "-" : String(Number(value.toPrecision(4)));
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  /* All series over one ascending axis: a value that several points of a series share is there as often. */
  const joined = (chart, shift) => {
    const counts = new Map();
    chart.series.forEach((series, index) => {
      const own = new Map();
      for (const x of chart.x[series.x]) own.set(x + shift(index), (own.get(x + shift(index)) ?? 0) + 1);
      for (const [x, count] of own) counts.set(x, Math.max(counts.get(x) ?? 0, count));
    });
    const xs = [...counts.keys()].sort((a, b) => a - b);
    const first = new Map();
    const axis = [];
    for (const x of xs) {
      first.set(x, axis.length);
      for (let copy = 0; copy < counts.get(x); copy++) axis.push(x);
    }
    const columns = chart.series.map((series, index) => {
      const column = new Array(axis.length).fill(undefined);
      const seen = new Map();
      chart.x[series.x].forEach((x, place) => {
        const at = x + shift(index);
        const copy = seen.get(at) ?? 0;
        seen.set(at, copy + 1);
        column[first.get(at) + copy] = series.y[place];
      });
      return column;
    });
    return [axis, ...columns];
  };

  /* Values without a neighbour, which a line would not show. */
  const isolated = (column) => {
    const places = column.map((y, place) => place).filter((place) => column[place] !== undefined);
    const there = (at) => at >= 0 && at < places.length && column[places[at]] !== null;
    return places.filter((place, at) => there(at) && !there(at - 1) && !there(at + 1));
  };

  const round125 = (value, towards) => {
    const decade = 10 ** Math.floor(Math.log10(value));
    const steps = [1, 2, 5, 10].filter((step) => towards === Math.floor ? step * decade <= value * 1.001 : step * decade >= value * 0.999);
    return (towards === Math.floor ? steps.at(-1) : steps[0]) * decade;
  };

  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return high < 0 ? -1 : Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };

  const drawMarkers = (chart) => (u) => {
    const context = u.ctx;
    const ratio = devicePixelRatio;
    context.save();
    context.strokeStyle = context.fillStyle = colour("--quiet");
    context.lineWidth = ratio;
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.setLineDash([3 * ratio, 3 * ratio]);
    let last = -Infinity;
    for (const mark of [...chart.markers].sort((a, b) => a.x - b.x)) {
      const x = Math.round(u.valToPos(mark.x, "x", true));
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      context.beginPath();
      context.moveTo(x, u.bbox.top);
      context.lineTo(x, u.bbox.top + u.bbox.height);
      context.stroke();
      if (x - last < 14 * ratio) continue;
      last = x;
      context.save();
      const right = x + 14 * ratio < u.bbox.left + u.bbox.width;
      context.translate(right ? x + 11 * ratio : x - 4 * ratio, u.bbox.top + 2 * ratio);
      context.textAlign = "right";
      context.rotate(-Math.PI / 2);
      context.fillText(mark.label.length > 28 ? `${mark.label.slice(0, 27)}\u2026` : mark.label, 0, 0);
      context.restore();
    }
    context.restore();
  };

  const fillTable = (details, chart) => {
    const label = (x) => chart.labels.length ? chart.labels[x] ?? "" : number(x);
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const name of [chart.xLabel, ...chart.series.map((series) => series.name)]) {
      head.append(element("th", name, { scope: "col" }));
    }
    const [axis, ...columns] = joined(chart, () => 0);
    const body = table.createTBody();
    axis.forEach((x, place) => {
      const row = body.insertRow();
      for (const text of [label(x), ...columns.map((column) => number(column[place]))]) {
        row.append(element("td", text, { class: "number" }));
      }
    });
    const scroll = element("div", "", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Values" });
    scroll.append(table);
    for (const mark of chart.markers) scroll.append(element("p", `${label(mark.x)}: ${mark.label}`, { class: "small" }));
    details.append(scroll);
  };

  const drawn = [];

  const build = (plot, chart) => {
    const bars = chart.draw === "bars";
    const positions = [...new Set(chart.series.flatMap((series) => chart.x[series.x]))].sort((a, b) => a - b);
    let gap = Infinity;
    for (let i = 1; i < positions.length; i++) gap = Math.min(gap, positions[i] - positions[i - 1]);
    if (!Number.isFinite(gap)) gap = 1;
    const width = bars ? 0.8 * gap / chart.series.length : 0;
    const shift = (index) => bars ? (index - (chart.series.length - 1) / 2) * width : 0;
    const paths = {
      lines: uPlot.paths.linear(),
      steps: uPlot.paths.stepped({ align: -1 }),
      bars: uPlot.paths.bars({ size: [0.8 / chart.series.length, 80] }),
      points: () => null,
    }[chart.draw];
    const few = positions.length < 2;
    const hidden = (index) => chart.series.length > FIRST + 4 && index >= FIRST;
    const longest = Math.max(0, ...chart.labels.map((label) => label.length));
    const slanted = chart.labels.length > 6 || longest > 12;
    const short = (label) => label.length > 18 ? `${label.slice(0, 17)}\u2026` : label;
    const axes = [
      {
        label: chart.xLabel, labelSize: 22, stroke: () => colour("--ink"), grid: { stroke: () => colour("--line"), width: 1 },
        ticks: { stroke: () => colour("--line"), width: 1 }, size: chart.labels.length && slanted ? Math.min(120, 30 + 6 * longest) : 34,
        rotate: chart.labels.length && slanted ? 60 : 0,
      },
      {
        label: chart.yLabel, labelSize: 22, stroke: () => colour("--ink"), grid: { stroke: () => colour("--line"), width: 1 },
        ticks: { stroke: () => colour("--line"), width: 1 },
        size: (u, values) => 22 + 7 * Math.max(3, ...(values ?? []).map((value) => String(value ?? "").length)),
        values: (u, splits) => splits.map((value) => value === null ? null : number(value)),
      },
    ];
    if (chart.labels.length) {
      axes[0].splits = (u, axis, low, high) => {
        const inside = positions.filter((x) => x >= low && x <= high);
        const every = Math.max(1, Math.ceil(inside.length * 14 / Math.max(1, u.bbox.width / devicePixelRatio)));
        return inside.filter((x, index) => index % every === 0);
      };
      axes[0].values = (u, splits) => splits.map((x) => short(chart.labels[x] ?? ""));
    } else {
      axes[0].values = (u, splits) => splits.map((value) => value === null ? null : number(value));
    }
    const whole = !chart.logX && !chart.labels.length && positions.every(Number.isInteger);
    if (whole) axes[0].incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7];
    const pad = bars || few ? gap * 0.6 : 0;
    const scales = {
      x: chart.logX ? { time: false, distr: 3, range: (u, low, high) => low === null ? [0.1, 1] : [round125(low, Math.floor), round125(high, Math.ceil)] } : { time: false, range: (u, low, high) => low === null ? [0, 1] : [low - (low === high ? gap * 0.6 : 0), high + (low === high ? gap * 0.6 : 0)] },
      y: chart.logY ? { distr: 3 } : chart.yRange
        ? { range: () => chart.yRange }
        : { range: (u, low, high) => low === null ? [0, 1] : uPlot.rangeNum(bars ? Math.min(0, low) : low, bars ? Math.max(0, high) : high, 0.08, true) },
    };
    const ends = !positions.length ? [chart.logX ? 0.1 : 0, 1]
      : chart.logX ? [positions[0] / 1.1, positions[positions.length - 1] * 1.1]
      : [positions[0] - pad, positions[positions.length - 1] + pad];
    const status = element("output", "", { class: "unseen", "aria-live": "polite" });
    const values = [];
    const show = (x) => chart.series.forEach((series, index) => {
      const xs = chart.x[series.x];
      const place = x === null ? -1 : nearest(xs, x);
      const near = place >= 0 && Math.abs(xs[place] - x) <= Math.max(gap / 2, (ends[1] - ends[0]) / 40);
      values[index].textContent = near ? number(series.y[place]) : "";
    });
    const at = element("span", "", { class: "at" });
    const data = joined(chart, shift);
    const lonely = data.slice(1).map((column) => bars || chart.draw === "points" ? [] : isolated(column));
    const options = {
      width: Math.max(240, plot.clientWidth), height: 300, scales, axes, legend: { show: false },
      padding: [12, 12, 0, 0],
      cursor: { sync: { key: chart.xLabel, setSeries: false }, points: { show: !bars && chart.draw !== "points" }, y: false },
      focus: { alpha: 0.25 },
      series: [{}, ...chart.series.map((series, index) => ({
        label: series.name, show: !hidden(index), paths, stroke: () => stroke(index),
        width: bars ? 0 : 1.75, dash: dash(series, index),
        fill: bars ? () => stroke(index) : undefined,
        points: {
          show: chart.draw === "points" || lonely[index].length > 0,
          filter: chart.draw === "points" ? undefined : () => lonely[index],
          size: chart.draw === "points" ? (series.y.length > 300 ? 5 : 8) : 8, stroke: () => stroke(index), fill: () => stroke(index),
        },
        spanGaps: false,
      }))],
      hooks: {
        draw: chart.markers.length ? [drawMarkers(chart)] : [],
        setCursor: [(u) => {
          const inside = u.cursor.left >= 0 && positions.length;
          const place = inside ? nearest(positions, u.posToVal(u.cursor.left, "x")) : -1;
          const x = place < 0 ? null : positions[place];
          at.textContent = x === null ? "" : `${chart.xLabel}: ${chart.labels.length ? chart.labels[x] ?? "" : number(x)}`;
          show(x);
        }],
        setScale: [(u, key) => {
          if (key === "x") reset.hidden = Math.abs(u.scales.x.min - ends[0]) < 1e-9 * gap && Math.abs(u.scales.x.max - ends[1]) < 1e-9 * gap;
        }],
      },
    };
    const legend = element("div", "", { class: "legend", role: "group", "aria-label": "Series" });
    const reset = element("button", "Whole range", { type: "button", class: "reset" });
    reset.hidden = true;
    const canvas = element("div", "", { class: "canvas" });
    plot.append(canvas, status);
    const u = new uPlot(options, data, canvas);
    u.setScale("x", { min: ends[0], max: ends[1] });
    const buttons = chart.series.map((series, index) => {
      const button = element("button", "", { type: "button", "aria-pressed": String(!hidden(index)) });
      const swatch = element("span", "", { class: `swatch ${bars ? "block" : ""} ${dash(series, index).length ? "broken" : ""}` });
      swatch.style.color = `var(--c${index % COLOURS})`;
      values[index] = element("span", "", { class: "value" });
      button.append(swatch, element("span", series.name), values[index]);
      const set = (on) => {
        button.setAttribute("aria-pressed", String(on));
        u.setSeries(index + 1, { show: on });
      };
      button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
      for (const kind of ["mouseenter", "focus"]) button.addEventListener(kind, () => u.setSeries(index + 1, { focus: true }));
      for (const kind of ["mouseleave", "blur"]) button.addEventListener(kind, () => u.setSeries(null, { focus: true }));
      legend.append(button);
      return set;
    });
    if (chart.series.length > 4) {
      for (const [text, on] of [["all", true], ["none", false]]) {
        const button = element("button", text, { type: "button", class: "quiet" });
        button.addEventListener("click", () => u.batch(() => buttons.forEach((set) => set(on))));
        legend.prepend(button);
      }
    }
    legend.append(reset, at);
    plot.after(legend);
    const whole_range = () => u.setScale("x", { min: ends[0], max: ends[1] });
    reset.addEventListener("click", whole_range);
    let place = -1;
    plot.addEventListener("keydown", (event) => {
      if (event.target !== plot || !positions.length) return;
      const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: positions.length - 1 };
      if (event.key === "Escape") whole_range();
      if (event.key === "+" || event.key === "-") {
        const middle = positions[Math.max(0, place)];
        const half = (u.scales.x.max - u.scales.x.min) * (event.key === "+" ? 0.25 : 1);
        u.setScale("x", { min: Math.max(ends[0], middle - half), max: Math.min(ends[1], middle + half) });
      }
      if (!(event.key in steps)) return;
      event.preventDefault();
      place = Math.min(positions.length - 1, Math.max(0, steps[event.key]));
      u.setCursor({ left: u.valToPos(positions[place], "x"), top: 10 });
      const said = chart.series.map((series, index) => [series.name, values[index].textContent])
        .filter(([, value], index) => value && u.series[index + 1].show).slice(0, FIRST);
      status.textContent = `${at.textContent}. ${said.map(([name, value]) => `${name} ${value}`).join(", ")}`;
    });
    plot.addEventListener("blur", () => u.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => {
      const wide = Math.max(240, plot.clientWidth);
      if (wide !== u.width) u.setSize({ width: wide, height: 300 });
    }).observe(plot);
    drawn.push(u);
    plot.dataset.drawn = "yes";
  };

  const charts = JSON.parse(document.getElementById("charts").textContent);
  for (const plot of document.querySelectorAll(".plot")) {
    const chart = charts[Number(plot.dataset.chart)];
    build(plot, chart);
    const details = plot.parentElement.querySelector(".values");
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) fillTable(details, chart);
    });
  }
  const redraw = () => drawn.forEach((u) => u.redraw(false, true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", redraw);
}
