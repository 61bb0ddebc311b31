// Refreshes the list every two seconds while somebody can see it, and shows times in the zone of the reader.
const live = document.getElementById("live");

function localTimes() {
  for (const time of live.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    time.textContent = moment.toLocaleTimeString();
    time.title = moment.toLocaleString();
  }
}

function refresh() {
  const busy = live.contains(document.activeElement) && document.activeElement !== document.body;
  if (document.visibilityState === "visible" && live.hasAttribute("hx-get") && !busy) htmx.trigger(live, "refresh");
}

localTimes();
new MutationObserver(localTimes).observe(live, { childList: true });
setInterval(refresh, 2000);
document.addEventListener("visibilitychange", refresh);
