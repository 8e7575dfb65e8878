// Moves the mark of a figure, and shows the words of where it stands. No request, no library.
(() => {
  // A page may hold several sliders, each with this script: take those that nobody has started yet.
  for (const root of document.querySelectorAll(".mm-slider:not([data-ready])")) {
    const carried = root.querySelector('script[type="application/json"]');
    if (!carried) continue;
    root.dataset.ready = "yes";
    const stops = JSON.parse(carried.textContent);
    const input = root.querySelector("input");
    const show = () => {
      const [name, said, shown] = stops[input.value];
      input.setAttribute("aria-valuetext", name);
      root.querySelector("output").textContent = name;
      root.querySelector(".mm-said").textContent = said; // the region stays: a screen reader reads what is new in it
      root.querySelector(".mm-shown").innerHTML = shown;
      for (const mark of root.querySelectorAll("[data-stop]")) {
        mark.style.visibility = mark.dataset.stop === input.value ? "visible" : "hidden";
      }
    };
    input.addEventListener("input", show);
    show(); // a browser that reloads a page may have kept where the slider stood
  }
})();
