// @ts-check
// The script of every page: it shows what changed, and times in the viewer's zone, and helps with
// the keyboard. Without it, everything but the live frames works.

const MAX_FRAMES = 300;
const RETRY_MS = 10_000; // milliseconds until a page that was turned away tries again
const SILENT_MS = 40_000; // milliseconds without a word: the gateway sends one every 15 s

/** @param {string} selector @param {ParentNode} [within] @returns {HTMLElement[]} */
const all = (selector, within = document) => [...within.querySelectorAll(selector)].filter((e) => e instanceof HTMLElement);

/** @param {number} n @param {number} [size] */
const digits = (n, size = 2) => String(n).padStart(size, "0");

const units = (document.body.dataset.units ?? "").split(" ");
// A browser's clock may be wrong: the time at which the page was made shows by how much.
const fast = Date.now() - 1000 * Number(document.body.dataset.now);

/** `2 h 5 min`: how long ago that was, as the server says it. @param {Date} since */
function ago(since) {
  let rest = Math.max(0, Math.round((Date.now() - fast - since.getTime()) / 1000));
  const counts = [86400, 3600, 60, 1].map((size) => { const count = Math.floor(rest / size); rest -= count * size; return count; });
  const first = counts.findIndex((count) => count > 0);
  if (first < 0) return `0 ${units[3]}`;
  return [first, first + 1].filter((n) => counts[n]).map((n) => `${counts[n]} ${units[n]}`).join(" ");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `25 Nov`, in Chinese `11-25`. @param {Date} d */
const dayOfYear = (d) => document.documentElement.lang === "en" ? `${d.getDate()} ${MONTHS[d.getMonth()]}` : `${digits(d.getMonth() + 1)}-${digits(d.getDate())}`;

/** A time as the server forms it, in the zone of this browser. @param {Date} d @param {string} form */
export function formed(d, form) {
  const day = `${d.getFullYear()}-${digits(d.getMonth() + 1)}-${digits(d.getDate())}`;
  const minute = `${digits(d.getHours())}:${digits(d.getMinutes())}`;
  const clock = `${minute}:${digits(d.getSeconds())}`;
  switch (form) {
    case "minute": return minute;
    case "clock": return clock;
    case "exact": return `${clock}.${digits(d.getMilliseconds(), 3)}`;
    case "moment": return `${dayOfYear(d)} ${clock}`;
    case "short": return `${dayOfYear(d)} ${minute}`;
    case "date": return dayOfYear(d);
    case "day": return day;
    case "span": return ago(d);
    default: return `${day} ${clock}`;
  }
}

/** @param {ParentNode} within @param {string} [which] */
function localise(within, which = "time[data-form]") {
  for (const time of within.querySelectorAll(which)) {
    const text = formed(new Date(time.getAttribute("datetime") ?? ""), time.getAttribute("data-form") ?? "");
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Tell the server the zone, for what it draws and where a day begins. */
function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; secure" : "";
  if (zone) document.cookie = `devgate_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  for (const place of all("[data-zone]")) place.textContent = (place.dataset.zone ?? "").replace("{zone}", zone || "UTC");
}

/** Make `old` say what `fresh` says, and keep what did not change: focus, scrolling, what is open.
 * @param {Node} old @param {Node} fresh */
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.parentNode?.replaceChild(fresh.cloneNode(true), old);
    return;
  }
  if (!(old instanceof Element) || !(fresh instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((child, n) => (n < before.length ? morph(before[n], child) : old.appendChild(child.cloneNode(true))));
  before.slice(after.length).forEach((child) => child.remove());
}

/** Parts that came and are not shown yet, by name. @type {Map<string, string>} */
const waiting = new Map();

/** A row of a part is named PART/ROW. With a newer PART its older rows are not needed any more.
 * @param {Record<string, string>} parts */
function addParts(parts) {
  for (const name of Object.keys(parts)) {
    for (const old of waiting.keys()) if (old.startsWith(`${name}/`)) waiting.delete(old);
  }
  for (const [name, html] of Object.entries(parts)) waiting.set(name, html);
}

/** Show the parts that wait. A list with ticked rows keeps its order until none is ticked; its rows
 * change where they are. */
function show() {
  for (const part of all("[data-part]")) {
    const name = part.dataset.part ?? "";
    const html = waiting.get(name);
    const row = name.includes("/");
    if (html === undefined || (!row && part.querySelector("input[type=checkbox]:checked"))) continue;
    // After a list that waited, its rows are shown again, for they are newer.
    if (!row || !waiting.has(name.slice(0, name.indexOf("/")))) waiting.delete(name);
    // HTML of a row is only parsed as a row inside of a table.
    const fresh = new DOMParser().parseFromString(row ? `<table>${html}</table>` : html, "text/html");
    localise(fresh);
    const other = fresh.querySelector("[data-part]");
    if (other && other.outerHTML !== part.outerHTML) morph(part, other);
  }
  document.dispatchEvent(new Event("shown"));
}

/** Has the session ended? Then the page leads to the login. */
async function ask() {
  const response = await fetch(location.href, { method: "HEAD", headers: { accept: "text/html" } });
  if (response.redirected) location.reload();
}

/** @param {string} url */
function follow(url) {
  const pulse = all("[data-pulse]")[0];
  /** @type {EventSource | null} */
  let source = null;
  let heard = Date.now();
  /** @param {boolean} on */
  const tell = (on) => {
    if (on) heard = Date.now();
    if (!pulse) return;
    const away = on && all("[data-trouble]").length > 0;
    const text = (away ? pulse.dataset.away : on ? pulse.dataset.on : pulse.dataset.off) ?? "";
    pulse.hidden = false;
    pulse.classList.toggle("on", on && !away);
    pulse.classList.toggle("away", away);
    document.body.classList.toggle("stale", !on || away);
    if (pulse.textContent !== text) pulse.textContent = text;
  };
  const close = () => { source?.close(); source = null; };
  const open = () => {
    source = new EventSource(url);
    source.addEventListener("open", () => tell(true));
    source.addEventListener("beat", () => tell(true));
    source.addEventListener("error", () => {
      tell(false);
      if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      close();
      ask().catch(() => {});
      setTimeout(seen, RETRY_MS);
    });
    source.addEventListener("gone", () => location.reload());
    source.addEventListener("parts", (event) => {
      addParts(JSON.parse(event.data));
      show();
      tell(true);
    });
  };
  // A connection may be dead without an error: after a sleep, or behind some proxies.
  setInterval(() => {
    if (source && Date.now() - heard > SILENT_MS) { tell(false); close(); open(); }
  }, 5000);
  // A browser has six connections for all pages of one site: only those that are seen use one.
  // A page that comes back is sent all that changed in the meantime.
  const seen = () => { if (document.hidden) close(); else if (!source) open(); };
  document.addEventListener("visibilitychange", seen);
  document.addEventListener("change", show);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) seen(); });
  setInterval(() => localise(document, "time[data-form=span]"), 1000);
  if (!document.hidden) open();
}

/** One device's frames, as `devgate tap` shows them. @param {HTMLElement} card */
function tap(card) {
  const button = card.querySelector("[data-watch]");
  const list = card.querySelector(".frames");
  if (!(button instanceof HTMLButtonElement) || !(list instanceof HTMLElement)) return;
  const start = button.textContent;
  /** @type {EventSource | null} */
  let source = null;
  button.hidden = false;
  /** @param {string} tag @param {string} text @param {string} [kind] */
  const piece = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  /** @param {Node[]} pieces */
  const add = (...pieces) => {
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
    const row = document.createElement("div");
    row.append(...pieces);
    list.append(row);
    if (list.childElementCount > MAX_FRAMES) list.firstElementChild?.remove();
    if (low) list.scrollTop = list.scrollHeight;
  };
  /** @param {MessageEvent<string>} event */
  const onFrame = (event) => {
    const line = JSON.parse(event.data);
    const into = line.direction === "in";
    const arrow = piece("span", into ? "→" : "←", line.direction);
    arrow.title = (into ? card.dataset.received : card.dataset.sent) ?? "";
    const words = piece("span", line.bytes ? `${line.bytes}  ` : "");
    words.append(piece("em", line.why ?? line.decoded));
    add(piece("time", formed(new Date(line.at), "exact")), arrow, words);
  };
  /** @param {MessageEvent<string>} event */
  const missed = (event) => {
    add(piece("span", ""), piece("span", "…"), piece("span", `${JSON.parse(event.data).missed} ${card.dataset.more}`));
  };
  const end = () => { source?.close(); source = null; button.textContent = start; list.removeAttribute("data-on"); };
  button.addEventListener("click", () => {
    if (source) return end();
    list.querySelector(".empty")?.remove();
    source = new EventSource(card.dataset.frames ?? "");
    source.addEventListener("open", () => list.setAttribute("data-on", ""));
    source.addEventListener("message", onFrame);
    source.addEventListener("missed", missed);
    button.textContent = button.dataset.stop ?? "";
  });
  addEventListener("pagehide", end);
}

/** For a page that is not live: its banner is removed once the outage is over. The rest of the page
 * stays, for somebody may be filling in a form. */
async function clear() {
  const banner = all("[data-part=banner][data-trouble]")[0];
  if (!banner) return;
  const response = document.hidden ? null : await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (response && !response.redirected) {
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    localise(fresh);
    const other = fresh.querySelector("[data-part=banner]");
    if (other) morph(banner, other);
  }
  setTimeout(clear, RETRY_MS);
}

tellZone();
localise(document);
if (document.body.dataset.live) follow(document.body.dataset.live);
else setTimeout(clear, RETRY_MS);
all("[data-frames]").forEach(tap);
for (const button of all("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
for (const form of all("form[data-once]")) {
  // The key in the form makes it harmless; this only shows that the press was noticed.
  form.addEventListener("submit", () => all("button", form).forEach((b) => setTimeout(() => b.setAttribute("disabled", ""))));
  form.addEventListener("submit", () => all("[data-busy]", form).forEach((one) => { one.hidden = false; }));
}
addEventListener("pageshow", () => all("form[data-once] button").forEach((b) => b.removeAttribute("disabled")));
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = all("[data-slash], main input[type=search]").find((e) => e.offsetParent);
  if (field instanceof HTMLInputElement) { event.preventDefault(); field.focus(); field.select(); }
});
