// @ts-check
// The bar beneath the list of machines: how many are ticked, and all of a page with one tick.
// The form works without this script.

/** @param {string} selector @returns {HTMLInputElement[]} */
const boxes = (selector) => [...document.querySelectorAll(selector)].filter((e) => e instanceof HTMLInputElement);

/** Parts of the page are drawn again while it is open, so nothing is remembered here. */
function tell() {
  const rows = boxes("input[name=imei]");
  const ticked = rows.filter((one) => one.checked).length;
  const all = boxes("input[data-all]").some((one) => one.checked);
  for (const one of boxes("input[data-page]")) {
    one.hidden = false;
    one.checked = ticked > 0 && ticked === rows.length;
    one.indeterminate = ticked > 0 && ticked < rows.length;
  }
  for (const bar of document.querySelectorAll(".many")) {
    bar.classList.toggle("some", all || ticked > 0);
    const count = bar.querySelector("[data-count]");
    if (count instanceof HTMLElement) {
      const text = (all ? count.dataset.all : count.dataset.some ?? "")?.replace("0", String(ticked)) ?? "";
      if (count.textContent !== text) count.textContent = text;
      count.hidden = !all && !ticked;
    }
  }
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement)) return;
  if (box.matches("input[data-page]")) for (const one of boxes("input[name=imei]")) one.checked = box.checked;
  tell();
});
new MutationObserver(tell).observe(document.body, { childList: true, subtree: true });
addEventListener("pageshow", tell);
tell();
