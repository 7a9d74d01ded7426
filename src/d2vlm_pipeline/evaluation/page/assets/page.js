"use strict";
(() => {
  for (const gallery of document.querySelectorAll(".gallery")) {
    const items = [...gallery.querySelectorAll(".item")];
    const chips = [...gallery.querySelectorAll("button[data-dimension]")];
    const clear = gallery.querySelector("[data-clear]");
    const chosen = (dimension) =>
      chips
        .filter((chip) => chip.dataset.dimension === dimension && chip.getAttribute("aria-pressed") === "true")
        .map((chip) => chip.dataset.value);

    const show = () => {
      const groups = chosen("group");
      const kinds = chosen("kind");
      let count = 0;
      for (const item of items) {
        const isGroup = groups.length === 0 || groups.includes(item.dataset.group);
        const isKind = kinds.length === 0 || item.dataset.kinds.split("|").some((kind) => kinds.includes(kind));
        item.hidden = !(isGroup && isKind);
        count += item.hidden ? 0 : 1;
      }
      gallery.querySelector("[data-count]").textContent = String(count);
      gallery.querySelector("[data-empty]").hidden = count > 0;
      clear.hidden = groups.length + kinds.length === 0;
    };

    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        show();
      });
    }
    clear.addEventListener("click", () => {
      for (const chip of chips) chip.setAttribute("aria-pressed", "false");
      show();
      chips[0].focus();
    });
    gallery.querySelector(".filters").hidden = false;
  }

  // A line under the pointer, with its time: which second of the clip this is.
  for (const time of document.querySelectorAll(".time")) {
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.hidden = true;
    time.append(cursor);
    const track = time.querySelector(".track, .film");
    time.addEventListener("pointermove", (event) => {
      const box = track.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      cursor.hidden = share < 0 || share > 1;
      cursor.style.left = `${event.clientX - time.getBoundingClientRect().left}px`;
      cursor.textContent = `${(share * Number(time.dataset.seconds)).toFixed(1)} s`;
    });
    time.addEventListener("pointerleave", () => {
      cursor.hidden = true;
    });
  }
})();
