// @ts-check
// The values of a chart at a place: under a pointer or a finger, and with the arrow keys. The server
// draws the charts; this script adds a line, and a box with the values.

import { formed } from "./live.js";

/** @typedef {{ names: string[], kinds: string[], at: number[], values: (number | null)[][], form: string }} Series */
/** @typedef {{ since: number, until: number, lanes: { name: string, kind: string, spans: number[][] }[], marks: { name: string, items: [number, string, string][] }, none: string }} Lanes */
/** @typedef {{ when: Date, form: string, rows: { name: string, kind: string, text: string }[], from: number, size: number }} Said */

const MAX_MARKS = 6;
const STEPS = 288; // places of a day's lanes: five minutes each

const box = document.createElement("div");
box.className = "tip";
box.hidden = true;
const line = document.createElement("div");
line.className = "cross";
line.hidden = true;
document.body.append(line, box);

/** The chart whose box is open, and at which place. @type {HTMLElement | null} */
let open = null;
let place = 0;

/** @param {HTMLElement} chart */
const places = (chart) => (chart.dataset.series ? JSON.parse(chart.dataset.series).at.length : STEPS);

/** What it says at a place, and where that is as parts of its width. @param {HTMLElement} chart @param {number} n @returns {Said} */
function said(chart, n) {
  if (chart.dataset.series) {
    /** @type {Series} */
    const series = JSON.parse(chart.dataset.series);
    const slots = Number(chart.dataset.slots) || series.at.length;
    const rows = series.names.flatMap((name, i) => {
      const value = series.values[i][n];
      // Of several values, those that are missing are left out.
      return value === null || (!value && series.names.length > 1) ? [] : [{ name, kind: series.kinds[i], text: String(value) }];
    });
    return { when: new Date(series.at[n] * 1000), form: series.form, rows, from: n / slots, size: 1 / slots };
  }
  /** @type {Lanes} */
  const lanes = JSON.parse(chart.dataset.lanes ?? "");
  const step = (lanes.until - lanes.since) / STEPS;
  const at = lanes.since + n * step;
  const rows = lanes.lanes.map(({ name, kind, spans }) => {
    const span = spans.find(([from, to]) => from < at + step && to > at);
    return { name, kind, text: span ? span.map((one) => formed(new Date(one * 1000), "minute")).join(" – ") : lanes.none };
  });
  const near = lanes.marks.items.filter(([when]) => Math.abs(when - at - step / 2) <= step);
  rows.push(...near.slice(0, MAX_MARKS).map(([, text, kind]) => ({ name: text, kind, text: "" })));
  return { when: new Date(at * 1000), form: "minute", rows, from: n / STEPS, size: 1 / STEPS };
}

/** Show the box for a place of a chart. @param {HTMLElement} chart @param {number} n */
function show(chart, n) {
  open = chart;
  place = Math.max(0, Math.min(places(chart) - 1, n));
  const { when, form, rows, from, size } = said(chart, place);
  const time = document.createElement("b");
  time.textContent = formed(when, form);
  box.replaceChildren(time, ...rows.map(({ name, kind, text }) => {
    const row = document.createElement("span");
    const value = document.createElement("b");
    row.className = kind;
    value.textContent = text;
    row.append(`${name} `, value);
    return row;
  }));
  const frame = chart.getBoundingClientRect();
  const x = frame.left + (from + size / 2) * frame.width;
  box.hidden = line.hidden = false;
  line.style.left = `${x + scrollX}px`;
  line.style.top = `${frame.top + scrollY}px`;
  line.style.height = `${frame.height}px`;
  const room = document.documentElement.clientWidth - box.offsetWidth - 8;
  box.style.left = `${Math.max(8, Math.min(room, x + 12 > room ? x - box.offsetWidth - 12 : x + 12)) + scrollX}px`;
  box.style.top = `${frame.top + scrollY + 8}px`;
  chart.setAttribute("aria-valuenow", String(place));
  chart.setAttribute("aria-valuetext", [formed(when, form), ...rows.map(({ name, text }) => `${name} ${text}`)].join(", "));
}

function hide() {
  open = null;
  box.hidden = line.hidden = true;
}

/** The chart that something happened in. @param {EventTarget | null} target */
const chartOf = (target) => {
  const found = target instanceof Element ? target.closest("[data-series], [data-lanes]") : null;
  return found instanceof HTMLElement ? found : null;
};

/** @param {PointerEvent} event */
function point(event) {
  const chart = chartOf(event.target);
  if (!chart) { if (open && (event.pointerType !== "touch" || event.type === "pointerdown") && open !== document.activeElement) hide(); return; }
  const frame = chart.getBoundingClientRect();
  const slots = Number(chart.dataset.slots) || places(chart);
  show(chart, Math.floor(((event.clientX - frame.left) / frame.width) * slots));
}

document.addEventListener("pointermove", point);
document.addEventListener("pointerdown", point);
document.addEventListener("focusin", (event) => {
  const chart = chartOf(event.target);
  if (chart && chart.matches(":focus-visible")) show(chart, open === chart ? place : places(chart) - 1);
});
document.addEventListener("focusout", (event) => { if (chartOf(event.target)) hide(); });
document.addEventListener("keydown", (event) => {
  const chart = chartOf(event.target);
  if (!chart) return;
  const now = open === chart ? place : places(chart) - 1;
  const page = Math.max(1, Math.round(places(chart) / 10));
  /** @type {Record<string, number>} */
  const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - page, PageUp: now + page, Home: 0, End: places(chart) - 1 };
  if (event.key === "Escape") hide();
  if (!(event.key in to)) return;
  event.preventDefault();
  show(chart, to[event.key]);
});
// The part of the page with the chart was drawn again.
document.addEventListener("shown", () => { if (open) { if (open.isConnected) show(open, place); else hide(); } });
addEventListener("resize", hide);
