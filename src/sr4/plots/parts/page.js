// Sliders of pictures; without this script each shows half of both.
for (const sliders of document.querySelectorAll("[data-sliders]")) {
  const stacks = [...sliders.querySelectorAll(".stack")];
  const radios = [...sliders.querySelectorAll("[data-side]")];

  const chosen = (side) => radios.find((one) => one.dataset.side === side && one.checked);
  const named = (side) => chosen(side).parentElement.textContent.trim();

  const say = (range) => {
    range.setAttribute("aria-valuetext", `${range.value} % ${named("left")}, then ${named("right")}`);
    range.closest(".stack").style.setProperty("--split", `${range.value}%`);
  };

  const lay = () => {
    for (const stack of stacks) {
      for (const side of ["left", "right"]) {
        for (const layer of stack.querySelectorAll(".layer")) {
          layer.classList.toggle(side, layer.dataset.layer === chosen(side).value);
        }
        stack.querySelector(`[data-tag="${side}"]`).textContent = named(side);
      }
      say(stack.querySelector("input"));
    }
  };

  for (const radio of radios) radio.addEventListener("change", lay);
  for (const stack of stacks) {
    const range = stack.querySelector("input");
    range.addEventListener("input", () => say(range));
    const move = (value) => {
      range.value = value;
      say(range);
    };
    // Some browsers move a range by its thumb alone, which is not seen here.
    range.addEventListener("pointermove", (event) => {
      if (event.buttons === 0) return;
      const { left, width } = stack.getBoundingClientRect();
      move((100 * (event.clientX - left)) / width);
    });
    // A finger that goes up or down moves the page, and nothing else.
    let before = range.value;
    range.addEventListener("pointerdown", () => (before = range.value));
    range.addEventListener("pointercancel", () => move(before));
  }
  lay();
}
