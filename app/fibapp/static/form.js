// Shows what a job will cost while its number is typed, by the formula the server learned.
function span(seconds) {
  if (seconds < 0.00995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function cost() {
  const form = document.querySelector("form.job");
  const { n, algorithm } = form.elements;
  const largest = Number(algorithm.selectedOptions[0].dataset.largest);
  n.max = largest;
  const output = document.getElementById("cost");
  const value = n.value.trim() === "" ? NaN : Number(n.value);
  if (!Number.isInteger(value) || value < 0 || value > largest) {
    output.textContent = `A whole number from 0 to ${largest.toLocaleString("en")}, please.`;
    return;
  }
  const costs = JSON.parse(form.dataset.costs);
  const mine = costs[algorithm.value];
  const units = algorithm.value === "recursive" ? mine.base ** value : value ** mine.exponent;
  output.innerHTML = "Expected: <b></b> on one worker";
  output.querySelector("b").textContent = span(costs.overhead_seconds + mine.coefficient * units);
}

document.addEventListener("input", (event) => event.target.closest("form.job") && cost());
if (!document.getElementById("n-error")) cost();
