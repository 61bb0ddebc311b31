// Keeps the page live while somebody can see it: asks every two seconds, less often when nothing happens, and shows times in the reader's zone.
const BUSY = 2000, QUIET = 5000, QUIET_AFTER = 30;
const pulse = document.getElementById("pulse");
let last = "", unchanged = 0, timer = 0;

const live = () => document.querySelector("[data-live]");

function localTimes(root) {
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  for (const time of root.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const today = moment.toDateString() === new Date().toDateString();
    if (time.hasAttribute("data-exact")) time.textContent = moment.toLocaleString([], { dateStyle: "medium" }) + moment.toLocaleTimeString([], { ...clock, fractionalSecondDigits: 3 }).padStart(14);
    else time.textContent = today ? moment.toLocaleTimeString([], clock) : moment.toLocaleDateString([], { month: "short", day: "numeric" });
    time.title = moment.toLocaleString();
  }
}

function say(kind, words) {
  if (pulse.textContent !== words) pulse.textContent = words;
  pulse.className = `pulse ${kind}`;
}

function refresh() {
  clearTimeout(timer);
  if (!live() || document.visibilityState !== "visible") return;
  timer = setTimeout(refresh, unchanged > QUIET_AFTER ? QUIET : BUSY);
  htmx.trigger(live(), "refresh");
}

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (!ctx.sourceElement.hasAttribute("data-live")) {
    unchanged = 0;
    return;
  }
  if (ctx.response.status >= 400) {
    say("lost", ctx.response.status === 503 ? "The store does not answer; trying again" : "No fresh figures; trying again");
    event.preventDefault();
    return;
  }
  say("live", "live");
  const news = ctx.text !== last;
  last = ctx.text;
  unchanged = news ? 0 : unchanged + 1;
  if (!news) {
    event.preventDefault();
    document.dispatchEvent(new Event("figures"));
  }
});
document.addEventListener("htmx:before:swap", (event) => event.detail.tasks.forEach((task) => localTimes(task.fragment)));
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.sourceElement.closest("form")) refresh();
  else document.dispatchEvent(new Event("figures"));
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx?.sourceElement?.hasAttribute("data-live")) say("lost", "No connection; trying again");
});
document.addEventListener("visibilitychange", () => {
  unchanged = 0;
  refresh();
});

// The whole number goes to the clipboard; where the browser has none for this page (plain http), by selecting it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = (await (await fetch(button.dataset.copy)).text()).trim();
  let copied = false;
  if (navigator.clipboard) {
    copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
  } else {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
  }
  button.textContent = copied ? "Copied" : "Not allowed here";
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

localTimes(document);
if (live()) {
  say("live", "live");
  timer = setTimeout(refresh, BUSY);
}
