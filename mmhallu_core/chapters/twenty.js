// Asks the questions that a page carries with it, and counts who is right. No request, no library.
(() => {
  // A page may hold several games, each with this script: take those that nobody has started yet.
  for (const root of document.querySelectorAll(".mm-twenty:not([data-ready])")) {
    const carried = root.querySelector('script[type="application/json"]');
    if (!carried) continue;
    root.dataset.ready = "yes";
    const play = JSON.parse(carried.textContent);
    const letter = (number) => String.fromCharCode(65 + number);
    const make = (tag, more, ...inside) => {
      const element = Object.assign(document.createElement(tag), more);
      element.append(...inside);
      return element;
    };
    const button = (words, press) => {
      const one = make("button", { type: "button", textContent: words });
      one.addEventListener("click", press);
      return one;
    };

    const sheet = Object.assign(new Image(), { src: play.sheet });
    const loaded = sheet.decode();
    const place = root.querySelector(".mm-game");
    const count = make("p", { className: "mm-count" });
    const pictures = make("div", { className: "mm-pictures", hidden: true });
    const options = make("fieldset", {});
    const said = make("p", { className: "mm-said" });
    said.setAttribute("role", "status"); // the region stays: a screen reader reads what is new in it
    const scores = make("div", { className: "mm-scores" });
    let now, looked, answered, mine; // mine: [right, answered] from the words, and having looked

    const draw = (frame, words, name) => {
      const image = make("img", { alt: `${name}. ${words}`, width: play.size, height: play.size });
      loaded.then(() => {
        const canvas = make("canvas", { width: play.size, height: play.size });
        for (const [tile, left, top] of frame) {
          const [x, y, width, height] = play.tiles[tile];
          canvas.getContext("2d").drawImage(sheet, x, y, width, height, left, top, width, height);
        }
        image.src = canvas.toDataURL();
      });
      return make("figure", {}, image, make("figcaption", { textContent: name }));
    };
    const reveal = () => {
      const { frames, facts } = play.rounds[now];
      const words = make("details", {}, make("summary", { textContent: "Both pictures in words" }));
      facts.forEach((fact, number) => words.append(make("p", { textContent: `${play.places[number]}: ${fact}` })));
      pictures.replaceChildren(...frames.map((frame, number) => draw(frame, facts[number], play.places[number])), words);
      pictures.hidden = false;
      look.hidden = true;
    };

    const row = (cells, tag) => make("tr", {}, ...cells.map((text, number) => {
      const cell = make(tag || number === 0 ? "th" : "td", { textContent: text });
      if (cell.tagName === "TH") cell.scope = tag ? "col" : "row";
      return cell;
    }));
    const tell = () => {
      const done = now + (answered === null ? 0 : 1);
      const right = play.rounds[now].right;
      const spoken = (option) => letter(option) + (option === right ? ", right" : "");
      const rows = play.you.map((who, number) => [
        who, answered !== null && Number(looked) === number ? spoken(answered) : "", `${mine[number][0]} of ${mine[number][1]}`]);
      play.players.forEach((who, number) => {
        const hits = play.rounds.slice(0, done).filter((one) => one.said[number] === one.right).length;
        rows.push([who, answered === null ? "" : spoken(play.rounds[now].said[number]), `${hits} of ${done}`]);
      });
      const luck = play.rounds.slice(0, done).reduce((sum, one) => sum + 1 / one.options.length, 0);
      rows.push([play.luck, "", `${luck} of ${done}`]);
      const body = make("tbody", {}, ...rows.map((cells) => row(cells)));
      const table = make("table", { className: "table" }, make("thead", {}, row(play.columns, "th")), body);
      table.style.cssText = "width:auto;font-size:.9em";
      scores.replaceChildren(table);
    };

    const choose = (number) => {
      answered = number;
      const { right, options: texts } = play.rounds[now];
      const row = mine[Number(looked)];
      row[0] += Number(number === right);
      row[1] += 1;
      [...options.querySelectorAll("button")].forEach((one, place) => {
        one.disabled = true;
        if (place === right) one.className += " mm-right";
        if (place === number) one.className += " mm-mine";
        one.textContent += (place === right ? " (right)" : "") + (place === number ? " (your choice)" : "");
      });
      reveal();
      tell();
      const [words, seen] = mine;
      const last = now + 1 === play.rounds.length;
      said.textContent = (number === right ? "Right. " : `Wrong. Right is ${letter(right)}: ${texts[right]} `)
        + (last ? "That was the last question. " : "") + `You: ${words[0]} of ${words[1]} from the words`
        + (seen[1] ? `, ${seen[0]} of ${seen[1]} having looked.` : ".");
      next.textContent = last ? "Start again" : "Next question";
      next.hidden = false;
      next.focus();
    };
    const ask = (number, focus) => {
      [now, looked, answered] = [number, false, null];
      if (number === 0) mine = [[0, 0], [0, 0]];
      const one = play.rounds[now];
      count.textContent = `Question ${now + 1} of ${play.rounds.length}: ${one.category}`;
      pictures.hidden = true;
      pictures.replaceChildren();
      options.replaceChildren(make("legend", { textContent: one.text }), ...one.options.map((text, place) => {
        const option = button(`${letter(place)}. ${text}`, () => choose(place));
        option.className = "mm-option";
        return option;
      }));
      look.hidden = false;
      next.hidden = true;
      said.textContent = "";
      tell();
      if (focus) options.querySelector("button").focus();
    };
    const look = button("Look at the pictures", () => {
      looked = true;
      reveal();
      said.textContent = "Both pictures are shown above the question, and below them their words.";
      options.querySelector("button").focus();
    });
    const next = button("Next question", () => ask((now + 1) % play.rounds.length, true));
    place.replaceChildren(count, pictures, options, make("div", { className: "mm-actions" }, look, next), said, scores);
    ask(0, false);
  }
})();
