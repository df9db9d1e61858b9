"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const rules = new Map(data.rules.map((rule) => [rule.id, rule]));
  const hidden = new Set();

  // Plotly reads tags and entities in every text, so a name could be a link.

  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  // Light or dark: the system's setting, until the button overrides it.

  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  function paint() {
    const key = isDark() ? "dark" : "light";
    for (const element of all("[data-rule]")) element.style.setProperty("--c", rules.get(element.dataset.rule)?.[key]);
    for (const swatch of all("[data-rule] .swatch:empty")) swatch.append(sample(rules.get(swatch.closest("[data-rule]").dataset.rule)));
    $("theme").setAttribute("aria-pressed", String(isDark()));
    drawAll();
  }
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    paint();
  });
  system.addEventListener("change", paint);

  // How a rule is drawn: a piece of its line with its marker. The color comes from the style sheet.

  const corners = {
    square: "-3,-3 3,-3 3,3 -3,3", diamond: "0,-4.4 4.4,0 0,4.4 -4.4,0", "triangle-up": "0,-4 4,3 -4,3", "triangle-down": "0,4 4,-3 -4,-3",
    "triangle-left": "-4,0 3,-4 3,4", "triangle-right": "4,0 -3,-4 -3,4", hexagon: "4,0 2,3.5 -2,3.5 -4,0 -2,-3.5 2,-3.5",
    cross: "-1.3,-4 1.3,-4 1.3,-1.3 4,-1.3 4,1.3 1.3,1.3 1.3,4 -1.3,4 -1.3,1.3 -4,1.3 -4,-1.3 -1.3,-1.3",
    x: "-2,-4 0,-2 2,-4 4,-2 2,0 4,2 2,4 0,2 -2,4 -4,2 -2,0 -4,-2", star: "0,-5 1.4,-1.6 5,-1.5 2.2,0.8 3.1,4.2 0,2.3 -3.1,4.2 -2.2,0.8 -5,-1.5 -1.4,-1.6",
  };

  function element(name, values) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    return made;
  }

  function sample(rule) {
    const picture = element("svg", { viewBox: "-14 -6 28 12", width: 28, height: 12, "aria-hidden": "true" });
    picture.append(element("line", { x1: -14, x2: 14, "stroke-dasharray": rule.dash === "solid" ? "none" : rule.dash.replaceAll("px", "") }));
    const points = corners[rule.symbol];
    picture.append(points ? element("polygon", { points }) : element("circle", { r: 3.4 }));
    return picture;
  }

  function legends() {
    for (const place of all("[data-legend]")) {
      const kind = place.dataset.legend;
      const drawn = (rule) => kind === "profile" ? data.profile.rules[rule.id]
        : data.tasks.some((task) => showsTask(task.name) && task.rules[rule.id] && has[kind](task.rules[rule.id]));
      place.replaceChildren(...data.rules.filter((rule) => showsRule(rule.id) && drawn(rule)).map((rule) => {
        const item = document.createElement("li");
        item.append(sample(rule), rule.name);
        item.style.setProperty("--c", colorOf(rule));
        return item;
      }));
    }
  }
  const has = {
    curves: (result) => result.curve.value?.length, alignment: (result) => result.alignment.mean,
    tradeoff: (result) => result.costs[$("cost").value] !== null,
  };

  // Filters: a task, rules by name, rules by button.

  const matches = (id) => rules.get(id).name.toLowerCase().includes($("find").value.trim().toLowerCase());
  const showsRule = (id) => !hidden.has(id) && matches(id);
  const showsTask = (name) => !$("task").value || $("task").value === name;

  function filter() {
    for (const row of all("tbody tr[data-rule]")) {
      row.hidden = !showsRule(row.dataset.rule) || (row.dataset.task !== undefined && !showsTask(row.dataset.task));
    }
    const rows = all("#results tbody tr");
    $("shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows shown`;
    separate();
    drawAll();
  }

  function separate() {
    let before = null;
    const byTask = !all("#results thead [aria-sort]").some((th) => th.ariaSort !== "none");
    for (const row of all("#results tbody tr")) {
      row.classList.toggle("next", byTask && !row.hidden && before !== null && before !== row.dataset.task);
      if (!row.hidden) before = row.dataset.task;
    }
  }

  for (const chip of all(".chip")) {
    chip.addEventListener("click", () => {
      const id = chip.dataset.rule;
      if (!hidden.delete(id)) hidden.add(id);
      chip.setAttribute("aria-pressed", String(!hidden.has(id)));
      filter();
    });
  }
  $("all").addEventListener("click", () => {
    hidden.clear();
    $("find").value = $("task").value = "";
    for (const chip of all(".chip")) chip.setAttribute("aria-pressed", "true");
    filter();
  });
  $("task").addEventListener("change", filter);
  $("find").addEventListener("input", filter);

  // A table of more than a thousand rows starts folded. Whoever looks for rows sees all that match.

  function unfold() {
    $("results").classList.remove("folded");
    $("unfold").hidden = true;
  }
  if ($("unfold")) {
    for (const [id, event] of [["unfold", "click"], ["task", "change"], ["find", "input"]]) $(id).addEventListener(event, unfold);
    $("results").tHead.addEventListener("click", unfold);
  }

  // Sort numbers by size and words alphabetically. Missing values come last in both directions.

  const original = all("#results tbody tr");

  function sort(header) {
    const next = { none: "descending", descending: "ascending", ascending: "none" };
    const words = !header.classList.contains("num");
    if (words || header.dataset.better === "lower") Object.assign(next, { none: "ascending", ascending: "descending", descending: "none" });
    const order = next[header.getAttribute("aria-sort")];
    for (const other of all("#results thead th")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    const value = (row) => row.cells[header.cellIndex].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (words ? x.localeCompare(y) : Number(x) - Number(y));
    };
    const rows = order === "none" ? original : [...original].sort(compare);
    document.querySelector("#results tbody").append(...rows);
    separate();
  }
  for (const header of all("#results thead th")) header.firstElementChild.addEventListener("click", () => sort(header));

  // Charts.

  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const touch = matchMedia("(pointer: coarse)");
  const colors = () => getComputedStyle(document.documentElement);
  const colorOf = (rule) => (isDark() ? rule.dark : rule.light);

  function layout(extra) {
    const [ink, line, card] = ["--ink", "--line", "--card"].map((name) => colors().getPropertyValue(name).trim());
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, fixedrange: touch.matches };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: touch.matches ? false : "zoom",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink }, margin: { l: 8, r: 14, t: 8, b: 40 },
      hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink } }, height: extra.height ?? 320,
      xaxis: { ...axis, ...extra.xaxis }, yaxis: { ...axis, ...extra.yaxis }, shapes: extra.shapes ?? [],
    };
  }

  function visible(task) {
    return data.rules.filter((rule) => showsRule(rule.id) && task.rules[rule.id]);
  }

  const marker = (rule, task, size) => ({ color: colorOf(rule), size, symbol: rule.symbol + (task.rules[rule.id].open ? "-open" : ""), line: { width: 1.5, color: colorOf(rule) } });

  // A line with a few of its markers, so that two lines differ in more than their color.
  const line = (rule, x, y) => ({
    type: "scatter", mode: y.length > 1 ? "lines+markers" : "markers", x, y, name: plain(rule.name), line: { color: colorOf(rule), width: 2, dash: rule.dash },
    marker: { color: colorOf(rule), symbol: rule.symbol, size: 7, maxdisplayed: 5 }, hovertemplate: "%{y:.2f} at %{x:,}<extra>%{fullData.name}</extra>",
  });

  function ends(task) {
    const shown = visible(task).reverse();
    const traces = shown.flatMap((rule) => {
      const { mean, half, seeds } = task.rules[rule.id];
      const color = colorOf(rule);
      return [
        { type: "scatter", mode: "markers", x: seeds, y: seeds.map(() => plain(rule.name)), marker: { color, size: 5, opacity: 0.55 }, name: plain(rule.name),
          hovertemplate: "%{x:.2f}<extra>%{y}, seed</extra>" },
        { type: "scatter", mode: "markers", x: [mean], y: [plain(rule.name)], marker: marker(rule, task, 11), name: plain(rule.name),
          error_x: { type: "data", array: [half ?? 0], color, thickness: 2, width: 0, visible: half !== null },
          hovertemplate: `%{x:.2f}${half === null ? "" : ` ± ${half.toFixed(2)}`}<extra>%{y}</extra>` },
      ];
    });
    const references = ["bp", "frozen", "head-only"].filter((id) => task.rules[id] && showsRule(id)).map((id) => ({
      type: "line", xref: "x", yref: "paper", y0: 0, y1: 1, x0: task.rules[id].mean, x1: task.rules[id].mean, layer: "below",
      line: { color: colorOf(rules.get(id)), width: 1, dash: "dash" },
    }));
    const yaxis = { type: "category", showgrid: false, categoryorder: "array", categoryarray: shown.map((rule) => plain(rule.name)) };
    const height = 70 + 34 * Math.max(shown.length, 3);
    return [traces, layout({ xaxis: { title: { text: `test ${task.label}` } }, yaxis, shapes: references, height })];
  }

  function curves(task) {
    const over = $("axis").value;
    // The control is a level over the whole training. Another rule with a single value was evaluated once: a point.
    const isLevel = (rule) => rule.id === "frozen";
    // A rule without a known cost cannot be drawn over it, unless it is a level.
    const known = (rule, curve) => curve.value && (isLevel(rule) || curve[over][0] !== null);
    const drawn = visible(task).filter((rule) => known(rule, task.rules[rule.id].curve));
    const trained = drawn.filter((rule) => !isLevel(rule));
    const moments = trained.flatMap((rule) => task.rules[rule.id].curve[over]).filter((moment) => moment !== null);
    const span = [Math.min(...moments), Math.max(...moments)];
    if (span[0] === span[1]) span[0] = 0;
    // Of many lines, only the references and the best others have a color. Hiding rules brings the rest to the front.
    const last = (rule) => (task.better === "lower" ? 1 : -1) * (task.rules[rule.id].curve.value.at(-1) ?? Infinity);
    const best = drawn.filter((rule) => !rule.known).sort((a, b) => last(a) - last(b)).slice(0, 8);
    const faint = (rule) => drawn.length > 16 && !rule.known && !best.includes(rule);
    const traces = [...drawn].sort((a, b) => faint(b) - faint(a)).map((rule) => {
      const curve = task.rules[rule.id].curve;
      const level = isLevel(rule) && trained.length > 0;
      const [x, y] = level ? [span, [curve.value[0], curve.value[0]]] : [curve[over], curve.value];
      return { ...line(rule, x, y), ...(level || faint(rule) ? { mode: "lines" } : {}), opacity: faint(rule) ? 0.22 : 1 };
    });
    const title = { text: $("axis").selectedOptions[0].textContent };
    return [traces, layout({ xaxis: { title }, yaxis: { title: { text: `validation ${task.label}` } } })];
  }

  function alignment(task) {
    const which = $("block").value;
    const drawn = visible(task).filter((rule) => has.alignment(task.rules[rule.id]));
    const found = drawn.map((rule) => task.rules[rule.id].alignment);
    const traces = drawn.map((rule, i) => line(rule, found[i].samples, found[i][which]));
    // Random feedback does about as well under every rule: the mean over them, at each moment.
    const moments = [...new Set(found.flatMap((one) => one.samples))].sort((a, b) => a - b);
    const levels = moments.map((at) => found.map((one) => one.null[one.samples.indexOf(at)]).filter((value) => value !== undefined && value !== null));
    const known = levels.flatMap((values, i) => (values.length ? [[moments[i], values.reduce((a, b) => a + b) / values.length]] : []));
    if (known.length) {
      const [x, y] = known.length > 1 ? [known.map((one) => one[0]), known.map((one) => one[1])] : [[0, known[0][0]], [known[0][1], known[0][1]]];
      const muted = colors().getPropertyValue("--muted").trim();
      traces.push({ type: "scatter", mode: "lines", x, y, name: "random feedback", line: { color: muted, width: 1.5, dash: "dash" },
        hovertemplate: "%{y:.2f}<extra>random feedback</extra>" });
    }
    return [traces, layout({ xaxis: { title: { text: "training samples" }, rangemode: "tozero" }, yaxis: { title: { text: "cosine to the true gradient" } } })];
  }

  // What more cost is shown to buy, as in the figures: a stair is a point whose interval lies above that of every cheaper one.

  function staircase(points, lower) {
    const sign = lower ? -1 : 1;
    const stairs = [];
    let highest = -Infinity;
    for (const point of points.sort((a, b) => a.x - b.x || sign * (b.y - a.y))) {
      const reach = point.half ?? Infinity;
      if (!stairs.length || sign * point.y - reach > highest) stairs.push(point);
      highest = Math.max(highest, sign * point.y + reach);
    }
    return stairs;
  }

  // A name goes where it lies over no other name, marker or line. A name without room is in the legend, and shown on hover.

  const sides = { "top right": [1, 1], "bottom right": [1, -1], "top left": [-1, 1], "bottom left": [-1, -1], "middle right": [1, 0], "middle left": [-1, 0] };
  const meet = (a, b) => a[0] < b[1] && b[0] < a[1] && a[2] < b[3] && b[2] < a[3];

  function placeNames(points, names, lines, wide) {
    const taken = [...points.map(([x, y]) => [x - 7, x + 7, y - 7, y + 7]), ...lines];
    return points.map(([x, y], i) => {
      const length = 6.5 * names[i].length;
      for (const [side, [dx, dy]] of Object.entries(sides)) {
        const [left, middle] = [x + (dx > 0 ? 8 : -8 - length), y + 11 * dy];
        const box = [left, left + length, middle - 7, middle + 7];
        if (left >= 0 && left + length <= wide + 10 && taken.every((other) => !meet(box, other))) {
          taken.push(box);
          return [names[i], side];
        }
      }
      return ["", "top right"];
    });
  }

  // The scale of the cost is logarithmic if the costs differ by more than a factor of four: they are ratios.

  function scaleOf(points, wide) {
    const xs = [1, ...points.map((point) => point.x)];
    const [least, most] = [Math.min(...xs), Math.max(...xs)];
    const log = most > 4 * least && least > 0;
    const range = log ? [Math.log10(least) - 0.1, Math.log10(most) + 0.22 * Math.log10(most / least)] : [Math.max(0, least - 0.25 * (most - least || 1)), most + 0.25 * (most - least || 1)];
    const ys = points.flatMap((point) => [point.y - (point.half ?? 0), point.y + (point.half ?? 0)]);
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const pad = 0.12 * (high - low || 1);
    return { log, range, most, ys: [low - pad, high + pad],
      x: (x) => (((log ? Math.log10(x) : x) - range[0]) / (range[1] - range[0])) * wide, y: (y) => ((y - low + pad) / (high - low + 2 * pad)) * 250 };
  }

  function tradeoff(task, plot) {
    const cost = $("cost").value;
    const shown = visible(task).filter((rule) => task.rules[rule.id].costs[cost] !== null);
    if (!shown.length) return [[], layout({})];
    const points = shown.map((rule) => ({ x: task.rules[rule.id].costs[cost], y: task.rules[rule.id].mean, half: task.rules[rule.id].half }));
    const wide = Math.max(200, plot.clientWidth - 75);
    const scale = scaleOf(points, wide);
    const stairs = staircase(points.filter((_, i) => shown[i].ranked), task.better === "lower");
    const muted = colors().getPropertyValue("--muted").trim();
    const traces = stairs.length > 1 ? [{ type: "scatter", mode: "lines", x: [...stairs.map((p) => p.x), scale.most], y: [...stairs.map((p) => p.y), stairs.at(-1).y],
      hoverinfo: "skip", line: { color: muted, width: 1, shape: "hv" }, name: "staircase" }] : [];
    // Everything a name should keep off: intervals, the line of BP, and the stairs.
    const [at, up] = [scale.x, scale.y];
    const lines = points.map((p) => [at(p.x) - 1, at(p.x) + 1, up(p.y - (p.half ?? 0)), up(p.y + (p.half ?? 0))]);
    lines.push([at(1) - 1, at(1) + 1, -1e9, 1e9]);
    stairs.forEach((p, i) => {
      const next = stairs[i + 1] ?? { x: scale.most, y: p.y };
      lines.push([at(p.x), at(next.x), up(p.y) - 1, up(p.y) + 1]);
      lines.push([at(next.x) - 1, at(next.x) + 1, Math.min(up(p.y), up(next.y)), Math.max(up(p.y), up(next.y))]);
    });
    const names = placeNames(points.map((p) => [at(p.x), up(p.y)]), shown.map((rule) => rule.name), lines, wide);
    for (const [i, rule] of shown.entries()) {
      const { x, y, half } = points[i];
      const [text, textposition] = names[i];
      traces.push({ type: "scatter", mode: "markers+text", x: [x], y: [y], text: [plain(text)], textposition,
        textfont: { size: 11 }, cliponaxis: false, marker: marker(rule, task, 9), name: plain(rule.name),
        error_y: { type: "data", array: [half ?? 0], color: colorOf(rule), thickness: 1.5, width: 0, visible: half !== null },
        hovertemplate: "%{y:.2f} at %{x:.2f}<extra>%{fullData.name}</extra>" });
    }
    const bp = { type: "line", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: muted, width: 1, dash: "dash" } };
    const xaxis = { title: { text: $("cost").selectedOptions[0].textContent }, range: scale.range, ...(scale.log ? { type: "log", dtick: Math.log10(2) } : {}) };
    if (scale.most > 64) xaxis.dtick = 1;
    return [traces, layout({ xaxis, yaxis: { title: { text: `test ${task.label}` }, range: scale.ys }, shapes: [bp] })];
  }

  function profile() {
    const traces = data.rules.filter((rule) => showsRule(rule.id) && data.profile.rules[rule.id]).map((rule) => ({
      ...line(rule, data.profile.credit, data.profile.rules[rule.id]), mode: "lines", line: { color: colorOf(rule), width: 2, dash: rule.dash, shape: "vh" },
      hovertemplate: "%{y:.0f} % reach %{x:.2f}<extra>%{fullData.name}</extra>",
    }));
    const yaxis = { title: { text: data.profile.axes[1] }, range: [-3, 104] };
    return [traces, layout({ xaxis: { title: { text: data.profile.axes[0] } }, yaxis, height: 360 })];
  }

  // The same numbers as a table, for those who cannot see the chart. One row per rule.

  const columns = {
    ends: { mean: (r) => r.mean, "± 95 %": (r) => r.half, seeds: (r) => r.seeds.length },
    curves: { ...Object.fromEntries(data.curve.map(({ name, heading }) => [heading, (r) => r.curve[name]?.at(-1)])),
      validation: (r) => r.curve.value?.at(-1) },
    alignment: { ...Object.fromEntries(["mean", "first", "last", "null"].map((name) => [{ mean: "mean of blocks", first: "first block", last: "last block", null: "random feedback" }[name], (r) => r.alignment[name]?.at(-1)])) },
    tradeoff: { test: (r) => r.mean, ...Object.fromEntries(data.costs.map(({ name, heading }) => [heading, (r) => r.costs[name]])) },
  };

  function numbers(kind, task) {
    const table = document.createElement("table");
    table.className = "data";
    const head = table.createTHead().insertRow();
    const add = (row, tag, text) => Object.assign(row.appendChild(document.createElement(tag)), { textContent: text });
    for (const name of ["rule", ...Object.keys(columns[kind])]) add(head, "th", name).scope = "col";
    const body = table.createTBody();
    for (const rule of visible(task)) {
      const row = body.insertRow();
      add(row, "th", rule.name).scope = "row";
      for (const value of Object.values(columns[kind])) {
        const found = value(task.rules[rule.id]);
        add(row, "td", found === null || found === undefined ? "–" : found.toLocaleString("en", { maximumFractionDigits: 2 }));
      }
    }
    return table;
  }

  const kinds = { ends, curves, tradeoff, profile, alignment };
  const charts = [];

  function build() {
    for (const place of all("[data-chart]")) {
      const kind = place.dataset.chart;
      for (const task of kind === "profile" ? [null] : data.tasks) {
        const figure = place.appendChild(document.createElement("figure"));
        if (task) figure.appendChild(document.createElement("figcaption")).textContent = task.name;
        const plot = figure.appendChild(document.createElement("div"));
        plot.className = "plot";
        plot.setAttribute("role", "img");
        plot.setAttribute("aria-label", place.dataset.about + (task ? `; ${task.name}` : ""));
        const empty = figure.appendChild(document.createElement("p"));
        empty.className = "empty";
        empty.textContent = "Nothing to show: nothing was measured, or every rule is hidden.";
        let details = null;
        if (task) {
          details = figure.appendChild(document.createElement("details"));
          details.appendChild(document.createElement("summary")).textContent = `Numbers: ${task.name}`;
          const scroll = details.appendChild(document.createElement("div"));
          scroll.className = "scroll";
          scroll.tabIndex = 0;
          scroll.setAttribute("role", "region");
          scroll.setAttribute("aria-label", `${place.dataset.about}; ${task.name}, as a table`);
        }
        charts.push({ kind, task, figure, plot, empty, details });
      }
    }
  }

  function drawAll() {
    legends();
    for (const { kind, task, figure, plot, empty, details } of charts) {
      figure.hidden = task !== null && !showsTask(task.name);
      if (figure.hidden) continue;
      const [traces, how] = kinds[kind](task, plot);
      plot.hidden = !traces.length;
      empty.hidden = Boolean(traces.length);
      if (details) details.lastElementChild.replaceChildren(numbers(kind, task));
      if (traces.length) Plotly.react(plot, traces, how, config);
    }
  }

  $("axis").addEventListener("change", drawAll);
  $("cost").addEventListener("change", drawAll);
  $("block")?.addEventListener("change", drawAll);
  build();
  paint();
  filter();
})();
