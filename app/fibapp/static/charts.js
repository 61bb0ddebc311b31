// Three charts of the last minutes. They begin with what the server remembers and go on with what the page is told.
const WINDOW = 600, FIRST_WINDOW = 120, RATE_OVER = 4, GAP = 20;
const section = document.querySelector(".charts");
const past = [];
let plots = [];

// A colour of the style sheet as the canvas needs it: resolved for the present scheme.
function resolved(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  section.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
const faint = (value) => value.replace("rgb(", "rgba(").replace(")", ", 0.18)");

// Nobody watched for a while: the line ends and begins anew instead of guessing.
function add(point) {
  if (past.length && point.at - past.at(-1).at > GAP) past.push({ at: point.at - 1 });
  if (past.length && point.at - past.at(-1).at < 0.5) past.pop();
  past.push(point);
  while (past.length && past[0].at < point.at - WINDOW) past.shift();
}

function rates() {
  let from = 0;
  return past.map((point, i) => {
    if (point.done === undefined) from = i + 1;
    while (from < i - 1 && point.at - past[from + 1].at >= RATE_OVER) from += 1;
    const seconds = from < i ? point.at - past[from].at : 0;
    return seconds >= 1 ? Math.max(0, point.done - past[from].done) / seconds : null;
  });
}

function columns() {
  const column = (name) => past.map((point) => point[name] ?? null);
  const at = column("at");
  return [[at, column("queued"), column("running")], [at, rates()], [at, column("max"), column("min"), column("workers")]];
}

function options(plot, series, more) {
  const axis = { stroke: resolved("--quiet"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : ""));
  return {
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (_, min, max) => [Math.min(min, max - FIRST_WINDOW), max] }, y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] } },
    padding: [8, 8, 0, 0],
    axes: [{ ...axis, size: 28, space: 60, incrs: [60, 120, 300, 600], values: "{HH}:{mm}" }, { ...axis, size: 44, space: 36, values: whole }],
    series: [{}, ...series],
    ...more,
  };
}

function draw() {
  plots.forEach((plot) => plot.destroy());
  const [queue, rate, workers] = ["queue", "rate", "workers"].map((name) => document.getElementById(`plot-${name}`));
  const [yellow, blue, green, grey] = ["--queued", "--running", "--done", "--quiet"].map(resolved);
  const line = (stroke, more) => ({ stroke, width: 2, points: { show: false }, ...more });
  const stepped = { paths: uPlot.paths.stepped({ align: 1 }) };
  const bound = { width: 1, dash: [4, 4], ...stepped };
  const [first, second, third] = columns();
  plots = [
    new uPlot(options(queue, [line(yellow, { fill: faint(yellow) }), line(blue)]), first, queue),
    new uPlot(options(rate, [line(green, { fill: faint(green) })]), second, rate),
    new uPlot(options(workers, [line(grey, bound), line(grey, bound), line(blue, stepped)], { bands: [{ series: [1, 2], fill: faint(grey) }] }), third, workers),
  ];
}

function show() {
  columns().forEach((data, i) => plots[i].setData(data));
  const now = past.at(-1), rate = rates().at(-1);
  const text = (id, words) => (document.getElementById(id).textContent = words);
  text("now-queue", `${now.queued.toLocaleString("en")} / ${now.running}`);
  text("now-rate", rate === null ? "–" : rate.toFixed(1));
  const bounds = now.min === now.max ? now.max : `${now.min}–${now.max}`;
  text("now-workers", now.workers === undefined || now.workers === null ? "–" : `${now.workers} of ${bounds}`);
}

function heard() {
  const { queued, running, done, workers, min, max } = document.getElementById("figures").dataset;
  const optional = (text) => (text === undefined ? null : Number(text));
  const counts = { queued: Number(queued), running: Number(running), done: Number(done) };
  add({ at: Date.now() / 1000, ...counts, workers: optional(workers), min: optional(min), max: optional(max) });
  show();
}

async function begin() {
  try {
    const { points } = await (await fetch(section.dataset.history)).json();
    // The last is of this moment, whatever the two clocks say.
    const skew = points.length ? Date.now() / 1000 - points.at(-1).at : 0;
    points.forEach((point) => add({ ...point, at: point.at + skew }));
  } catch {
    // Then they begin now.
  }
  draw();
  heard();
  document.addEventListener("figures", heard);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", draw);
}

if (section) begin();
