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
    $("theme").setAttribute("aria-pressed", String(isDark()));
    drawAll();
  }
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    paint();
  });
  system.addEventListener("change", paint);

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

  function ends(task) {
    const shown = visible(task).reverse();
    const traces = shown.flatMap((rule) => {
      const { mean, half, seeds } = task.rules[rule.id];
      const color = colorOf(rule);
      return [
        { type: "scatter", mode: "markers", x: seeds, y: seeds.map(() => plain(rule.name)), marker: { color, size: 5, opacity: 0.55 }, name: plain(rule.name),
          hovertemplate: "%{x:.2f}<extra>%{y}, seed</extra>" },
        { type: "scatter", mode: "markers", x: [mean], y: [plain(rule.name)], marker: { color, size: 11, symbol: rule.symbol }, name: plain(rule.name),
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
    // A rule without a known cost cannot be drawn over it, unless it is a level.
    const known = (curve) => curve.value && (curve.value.length === 1 || curve[over][0] !== null);
    const drawn = visible(task).filter((rule) => known(task.rules[rule.id].curve));
    const moments = drawn.flatMap((rule) => task.rules[rule.id].curve[over]).filter((moment) => moment !== null);
    const span = [Math.min(...moments), Math.max(...moments)];
    const traces = drawn.map((rule) => {
      const curve = task.rules[rule.id].curve;
      // A single value, such as that of the control frozen, is a level over the whole training.
      const level = curve.value.length === 1 && span[0] < span[1];
      const [x, y] = level ? [span, [curve.value[0], curve.value[0]]] : [curve[over], curve.value];
      return { type: "scatter", mode: y.length > 1 ? "lines" : "markers", x, y, name: plain(rule.name),
        line: { color: colorOf(rule), width: 2, dash: rule.dash }, marker: { color: colorOf(rule) },
        hovertemplate: "%{y:.2f} at %{x:,}<extra>%{fullData.name}</extra>" };
    });
    const title = { text: $("axis").selectedOptions[0].textContent };
    return [traces, layout({ xaxis: { title }, yaxis: { title: { text: `validation ${task.label}` } } })];
  }

  function front(points, lower) {
    const better = (a, b) => (lower ? a < b : a > b);
    const line = [];
    for (const point of points.sort((a, b) => a.x - b.x || (lower ? a.y - b.y : b.y - a.y))) {
      if (!line.length || better(point.y, line.at(-1).y)) line.push(point);
    }
    return line;
  }

  // Labels that would overlap move to another side of their point. A label without room is shown on hover only.

  const sides = { "top right": [1, 1], "bottom right": [1, -1], "top left": [-1, 1], "bottom left": [-1, -1] };

  function placeNames(points, names, [width, height]) {
    const taken = [];
    const low = Math.min(...points.map((p) => p.y));
    const tall = Math.max(...points.map((p) => p.y)) - low || 1;
    return points.map((point, i) => {
      const [x, y] = [(point.x / width) * 60, ((point.y - low) / tall) * height]; // in characters and lines
      for (const [side, [dx, dy]] of Object.entries(sides)) {
        const box = [dx > 0 ? x : x - names[i].length, y + 0.7 * dy, names[i].length];
        if (taken.every((other) => box[0] > other[0] + other[2] || other[0] > box[0] + box[2] || Math.abs(box[1] - other[1]) > 0.95)) {
          taken.push(box);
          return [names[i], side];
        }
      }
      return ["", "top right"];
    });
  }

  function tradeoff(task) {
    const cost = $("cost").value;
    const shown = visible(task).filter((rule) => task.rules[rule.id].costs[cost] !== null);
    const points = shown.map((rule) => ({ x: task.rules[rule.id].costs[cost], y: task.rules[rule.id].mean }));
    const line = front(points.filter((_, i) => shown[i].ranked), task.better === "lower");
    const muted = colors().getPropertyValue("--muted").trim();
    const traces = shown.length ? [{ type: "scatter", mode: "lines", x: line.map((p) => p.x), y: line.map((p) => p.y), hoverinfo: "skip",
      line: { color: muted, width: 1 }, name: "Pareto front" }] : [];
    const largest = Math.max(1, ...points.map((point) => point.x));
    const names = placeNames(points, shown.map((rule) => rule.name), [1.22 * largest, 13]);
    for (const [i, rule] of shown.entries()) {
      const { mean, half } = task.rules[rule.id];
      const color = colorOf(rule);
      const [text, textposition] = names[i];
      traces.push({ type: "scatter", mode: "markers+text", x: [task.rules[rule.id].costs[cost]], y: [mean], text: [plain(text)], textposition,
        textfont: { size: 11 }, cliponaxis: false, marker: { color, size: 10, symbol: rule.symbol }, name: plain(rule.name),
        error_y: { type: "data", array: [half ?? 0], color, thickness: 1.5, width: 0, visible: half !== null },
        hovertemplate: "%{y:.2f} at %{x:.2f}<extra>%{fullData.name}</extra>" });
    }
    const bp = { type: "line", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: muted, width: 1, dash: "dash" } };
    const xaxis = { title: { text: $("cost").selectedOptions[0].textContent }, range: [0, 1.22 * largest] };
    return [traces, layout({ xaxis, yaxis: { title: { text: `test ${task.label}` } }, shapes: [bp] })];
  }

  function profile() {
    const traces = data.rules.filter((rule) => showsRule(rule.id) && data.profile.rules[rule.id]).map((rule) => ({
      type: "scatter", mode: "lines", x: data.profile.credit, y: data.profile.rules[rule.id], name: plain(rule.name),
      line: { color: colorOf(rule), width: 2, dash: rule.dash, shape: "vh" }, hovertemplate: "%{y:.0f} % reach %{x:.2f}<extra>%{fullData.name}</extra>",
    }));
    const yaxis = { title: { text: data.profile.axes[1] }, range: [-3, 104] };
    return [traces, layout({ xaxis: { title: { text: data.profile.axes[0] } }, yaxis, height: 360 })];
  }

  // The same numbers as a table, for those who cannot see the chart. One row per rule.

  const columns = {
    ends: { mean: (r) => r.mean, "± 95 %": (r) => r.half, seeds: (r) => r.seeds.length },
    curves: { ...Object.fromEntries(data.curve.map(({ name, heading }) => [heading, (r) => r.curve[name]?.at(-1)])),
      validation: (r) => r.curve.value?.at(-1) },
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

  const kinds = { ends, curves, tradeoff, profile };
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
    for (const { kind, task, figure, plot, empty, details } of charts) {
      figure.hidden = task !== null && !showsTask(task.name);
      if (figure.hidden) continue;
      const [traces, how] = kinds[kind](task);
      plot.hidden = !traces.length;
      empty.hidden = Boolean(traces.length);
      if (details) details.lastElementChild.replaceChildren(numbers(kind, task));
      if (traces.length) Plotly.react(plot, traces, how, config);
    }
  }

  $("axis").addEventListener("change", drawAll);
  $("cost").addEventListener("change", drawAll);
  build();
  paint();
  filter();
})();
