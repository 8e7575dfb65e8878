// Plays the states that a widget carries with it. No request, no library; every control is the browser's own.
(() => {
  // A page may hold several widgets, each with this script: take those that nobody has started yet.
  for (const root of document.querySelectorAll(".mm-player:not([data-ready])")) {
    const carried = root.querySelector('script[type="application/json"]');
    if (!carried) continue;
    root.dataset.ready = "yes";
    const play = JSON.parse(carried.textContent);
    const place = root.querySelector(".mm-controls");
    const chosen = []; // the option of each control, from the first to the last

    // All pictures stand in one sheet. A frame is one of its tiles, and perhaps another that is laid over it.
    const sheet = Object.assign(new Image(), { src: play.sheet });
    const loaded = sheet.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: play.size, height: play.size });
    canvas.width *= play.wide;

    const show = (state) => {
      const [frame, facts, ...said] = play.states[state];
      const image = root.querySelector(".mm-frame img");
      image.alt = "Drawn scene. " + play.words[facts];
      loaded.then(() => {
        for (const [tile, left, top] of frame) {
          const [x, y, width, height] = play.tiles[tile];
          canvas.getContext("2d").drawImage(sheet, x, y, width, height, left, top, width, height);
        }
        image.src = canvas.toDataURL();
      });
      root.querySelector("details span").textContent = play.words[facts];
      // The region stays, its content changes: this is what makes a screen reader speak.
      const lines = said.map((text, number) => number % 2 ? `<dd>${play.words[text]}</dd>` : `<dt>${play.words[text]}</dt>`);
      root.querySelector(".mm-said").innerHTML = `<dl>${lines.join("")}</dl>`;
    };

    const choose = (node, level, number) => {
      chosen[level] = number;
      chosen.length = level + 1; // what comes below starts anew
      build(level + 1, node.options[number][1]);
    };

    // The words of a sentence, each of them a button.
    const sentence = (node, level) => {
      const group = Object.assign(document.createElement("div"), { className: "mm-words" });
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", node.label);
      group.append(Object.assign(document.createElement("b"), { textContent: node.label }));
      const buttons = node.options.map(([option], number) => {
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: option });
        button.addEventListener("click", () => {
          choose(node, level, number);
          mark();
        });
        return button;
      });
      const mark = () => buttons.forEach((one, number) => one.setAttribute("aria-pressed", number === chosen[level]));
      mark();
      group.append(...buttons);
      return group;
    };

    const field = (node, level) => {
      if (node.words) return sentence(node, level);
      const label = document.createElement("label");
      const name = document.createElement("span");
      name.textContent = node.label;
      const input = document.createElement(node.dial ? "input" : "select");
      if (node.options.length === 1) { // nothing to choose
        name.textContent += " " + node.options[0][0];
        return name;
      }
      label.append(name, input);
      const ticks = document.createElement("span");
      if (node.dial) {
        label.className = "mm-dial";
        ticks.className = "mm-ticks";
        ticks.setAttribute("aria-hidden", "true"); // aria-valuetext says the same
        ticks.append(...node.options.map(([option]) => Object.assign(document.createElement("span"), { textContent: option })));
        label.append(ticks);
        Object.assign(input, { type: "range", min: 0, max: node.options.length - 1, step: 1 });
        input.setAttribute("aria-label", node.label);
      } else {
        node.options.forEach(([option], number) => input.add(new Option(option, number)));
      }
      const mark = () => {
        const option = node.options[input.value][0];
        if (node.dial) {
          input.setAttribute("aria-valuetext", option);
          [...ticks.children].forEach((tick, number) => tick.classList.toggle("mm-now", number === Number(input.value)));
        }
      };
      input.value = chosen[level];
      mark();
      input.addEventListener(node.dial ? "input" : "change", () => {
        mark();
        choose(node, level, Number(input.value));
      });
      return label;
    };

    // Makes the controls from one level down, and shows the state that they lead to.
    const build = (level, node) => {
      while (place.children.length > level) place.lastChild.remove();
      for (; typeof node === "object"; level += 1) {
        if (chosen.length === level) chosen.push(node.start);
        place.append(field(node, level));
        node = node.options[chosen[level]][1];
      }
      show(node);
    };
    build(0, play.tree);
  }
})();
