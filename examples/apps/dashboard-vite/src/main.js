import "./style.css";
import { SALES, bars, total } from "./sales.js";

document.getElementById("total").textContent = `Total: ${total(SALES)}`;

const chart = document.getElementById("chart");
for (const { month, height } of bars(SALES, 160)) {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.style.height = `${height}px`;
  bar.textContent = month;
  chart.append(bar);
}
