"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];

  // A family, and rules whose backward does not read the forward weights. BP and the controls are always shown.

  function filter() {
    for (const row of all("tbody tr[data-family]")) {
      const wanted = !$("family").value || row.dataset.family === $("family").value;
      const allowed = !$("transport").checked || row.dataset.transport === "no";
      row.hidden = row.dataset.reference !== "yes" && !(wanted && allowed);
    }
    const rows = all("tbody tr[data-family]");
    $("shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows shown`;
  }
  $("family").addEventListener("change", filter);
  $("transport").addEventListener("change", filter);
  filter();
})();
