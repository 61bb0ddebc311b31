// Overview and Monitor: fetches the figures every five seconds while somebody looks, and shows them.
(function () {
  "use strict";

  const PERIOD = 5000;
  const KEPT_SECONDS = 3 * 3600;
  const page = document.getElementById("figures");
  const samples = {};
  let timer = 0;

  // Words and numbers.

  const exact = new Intl.NumberFormat("en");
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const clock = (time, seconds) =>
    new Date(time * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
  const day = (time) => new Date(time * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  const missing = (show) => (value) => (value === null || value === undefined ? "—" : show(value));
  const show = {
    count: missing((value) => exact.format(value)),
    rate: missing((value) => number.format(value) + "/s"),
    percent: missing((value) => number.format(value) + " %"),
    bytes: missing((value) => number.format(value / 2 ** 20) + " MiB"),
    seconds: missing((value) => {
      if (value >= 100) return Math.round(value) + " s";
      const [factor, unit] = value >= 1 || value === 0 ? [1, " s"] : value >= 1e-3 ? [1e3, " ms"] : [1e6, " µs"];
      return Number((value * factor).toPrecision(3)) + unit;
    }),
    uptime: missing((seconds) => {
      const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
      if (minutes < 1) return Math.max(0, Math.floor(seconds)) + " s";
      if (hours < 1) return minutes + " min";
      return hours < 24 ? hours + " h " + (minutes % 60) + " min" : Math.floor(hours / 24) + " d " + (hours % 24) + " h";
    }),
  };

  function element(name, text, className) {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function status(text, className) {
    const shown = document.getElementById("live-text");
    if (shown.textContent !== text) shown.textContent = text;
    document.getElementById("live-dot").className = "status-dot " + className;
  }

  // Overview.

  function showOverview(figures) {
    const heard = figures.listening_since !== null;
    const online = figures.workers.filter((worker) => worker.online);
    const cards = {
      online: heard ? online.length : null,
      total: figures.totals.sent,
      pending: figures.queue && figures.queue.ready,
      running: heard ? online.reduce((sum, worker) => sum + worker.running, 0) : null,
      succeeded: figures.totals.succeeded,
      failed: figures.totals.failed,
    };
    for (const card of page.querySelectorAll("[data-card]")) card.textContent = show.count(cards[card.dataset.card]);
    document.getElementById("since").textContent = "Heard since Flower's start, " + day(figures.since) + ", " + clock(figures.since) + ".";
    const rows = figures.workers.map((worker) => workerRow(worker, figures.now, heard));
    if (!rows.length) {
      const cell = element("td", "No worker has been heard yet.", "empty-table-message");
      cell.colSpan = 9;
      const row = document.createElement("tr");
      row.append(cell);
      rows.push(row);
    }
    page.querySelector("tbody").replaceChildren(...rows);
  }

  function workerRow(worker, now, heard) {
    const row = document.createElement("tr");
    if (!worker.online) row.className = "worker-offline";
    const link = element("a", worker.name);
    link.href = page.dataset.worker + encodeURIComponent(worker.name);
    const name = document.createElement("td");
    name.append(link);
    const word = worker.online ? "Online" : heard ? "Offline" : "Not heard";
    const state = document.createElement("td");
    state.append(element("span", word, "figures-state " + word.toLowerCase().replace(" ", "-")));
    const figures = [
      show.percent(worker.cpu),
      show.bytes(worker.memory),
      show.count(worker.online ? worker.running : null),
      show.count(worker.succeeded),
      show.count(worker.failed),
      show.count(worker.processes),
      show.uptime(worker.started === null ? null : now - worker.started),
    ];
    row.append(name, state, ...figures.map((figure) => element("td", figure, "figures-number")));
    return row;
  }

  // Monitor.

  const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];
  const SPANS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600]; // seconds
  const MEBIBYTES = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((size) => size * 2 ** 20);
  // `marks`: which steps the axis may have; `least`: where its scale ends at the lowest.
  const CHARTS = {
    rate: { show: show.rate, least: 1, lines: [["received", "received", "active"], ["succeeded", "succeeded", "success"], ["failed", "failed", "danger"]] },
    duration: { show: show.seconds, least: 1e-3, dots: true, lines: [["p50", "p50", "active"], ["p95", "p95", "warning"]] },
    depth: { show: show.count, least: 4, marks: WHOLE, lines: [["ready", "waiting", "warning"], ["unacked", "with a worker", "active"]] },
    workers: { show: show.count, least: 4, marks: WHOLE, steps: true, lines: [["online", "online", "success"], ["busy", "running", "active"]] },
    cpu: { show: show.percent, least: 100, lines: [["cpu_mean", "mean", "active"], ["cpu_highest", "highest", "warning"]] },
    memory: { show: show.bytes, least: 96 * 2 ** 20, marks: MEBIBYTES, lines: [["memory_mean", "mean", "active"], ["memory_highest", "highest", "warning"]] },
  };
  const plots = {};
  let minutes = 15;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function plot(name, figure) {
    const chart = CHARTS[name], place = figure.querySelector(".figures-plot");
    const axis = { stroke: colour("--flower-text-muted"), grid: { stroke: colour("--bs-border-color"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: place.clientWidth,
      height: place.clientHeight,
      padding: [8, 8, 4, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor: [(drawn) => tell(figure, chart, drawn.cursor.idx)] },
      scales: { x: { time: true, range: span }, y: { range: (_, low, high) => [0, Math.max(chart.least, high * 1.1)] } },
      axes: [
        { ...axis, size: 28, space: 72, incrs: SPANS, values: (_, splits) => splits.map((time) => clock(time, splits[1] - splits[0] < 60)) },
        { ...axis, size: 68, space: 36, incrs: chart.marks, values: (_, splits) => splits.map(chart.show) },
      ],
      series: [
        {},
        ...chart.lines.map(([, , shade]) => ({
          stroke: colour("--flower-" + shade),
          width: 2,
          paths: chart.steps ? uPlot.paths.stepped({ align: -1 }) : undefined,
          points: chart.dots ? { show: true, size: 4, fill: colour("--flower-" + shade) } : {},
        })),
      ],
    };
    return new uPlot(options, columns(chart), place);
  }

  const columns = (chart) => [samples.time, ...chart.lines.map(([column]) => samples[column])];
  const last = (column) => samples[column][samples[column].length - 1];

  // As wide as chosen, but no wider than what there is to see.
  function span() {
    const end = last("time") || Date.now() / 1000;
    const begin = Math.min(samples.time[0] || end, end - 120);
    return [Math.max(begin, end - minutes * 60), end];
  }

  // The line above a chart: the figures of the point under the cursor, else the newest ones.
  function tell(figure, chart, index) {
    const at = index === null || index === undefined ? samples.time.length - 1 : index;
    const parts = at < 0 ? ["The first point comes within five seconds."] : chart.lines.map(([column, label, shade]) => {
      const part = element("span", "", "figures-" + shade);
      part.append(element("strong", chart.show(samples[column][at])), " " + label);
      return part;
    });
    if (at >= 0 && at < samples.time.length - 1) parts.push("at " + clock(samples.time[at], true));
    figure.querySelector(".figures-now").replaceChildren(...parts);
  }

  function showMonitor() {
    for (const figure of page.querySelectorAll("[data-chart]")) {
      const name = figure.dataset.chart, chart = CHARTS[name];
      if (plots[name]) plots[name].setData(columns(chart));
      else plots[name] = plot(name, figure);
      tell(figure, chart, plots[name].cursor.idx);
    }
  }

  function drawAnew() {
    for (const name of Object.keys(plots)) {
      plots[name].destroy();
      delete plots[name];
    }
    if (samples.time) showMonitor();
  }

  function setUpMonitor() {
    for (const button of page.querySelectorAll("[data-minutes]")) {
      button.addEventListener("click", () => {
        minutes = Number(button.dataset.minutes);
        for (const other of page.querySelectorAll("[data-minutes]")) {
          other.classList.toggle("active", other === button);
          other.setAttribute("aria-pressed", String(other === button));
        }
        drawAnew();
      });
    }
    new MutationObserver(drawAnew).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    let width = page.clientWidth;
    new ResizeObserver(() => {
      if (page.clientWidth === width) return;
      width = page.clientWidth;
      drawAnew();
    }).observe(page);
  }

  // Both.

  function take(news) {
    for (const [column, values] of Object.entries(news)) samples[column] = (samples[column] || []).concat(values);
    const old = samples.time.findIndex((time) => time > last("time") - KEPT_SECONDS);
    if (old > 0) for (const column of Object.keys(samples)) samples[column].splice(0, old);
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      const since = samples.time && samples.time.length ? last("time") : 0;
      const answer = await fetch(page.dataset.figures + "?since=" + since);
      if (!answer.ok) throw new Error("HTTP " + answer.status);
      const figures = await answer.json();
      take(figures.samples);
      if (monitor) showMonitor();
      else showOverview(figures);
      if (figures.listening_since !== null) status("Live · updated " + clock(figures.now, true), "status-dot-live");
      else status("RabbitMQ is away: workers and tasks are not heard", "status-dot-error");
    } catch (error) {
      status("Flower does not answer; trying again", "status-dot-error");
    }
    if (!document.hidden) timer = setTimeout(refresh, PERIOD);
  }

  const monitor = page.querySelector("[data-chart]") !== null;
  if (monitor) setUpMonitor();
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  });
  refresh();
})();
