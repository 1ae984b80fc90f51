"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const world = JSON.parse(byId("world").textContent);
  const pictures = byId("pictures").content.children;
  const BEYOND = -1, NOBODY = -1, UNKNOWN = -2;
  // of owners: none is the red of what is wrong
  const HUES = [210, 275, 170, 50, 310, 100, 30, 235];
  // the moves that were made, each by its place among those of the state before it
  let walked = [];

  const made = (tag, words, cls) => {
    const element = document.createElement(tag);
    if (words) element.textContent = words;
    if (cls) element.className = cls;
    return element;
  };
  const choice = ([state, place]) => {
    const [row, to, optional] = world.states[state].moves[place];
    return { row, to, optional, actor: world.rows[row][0], words: world.rows[row][1], broken: world.rows[row][2] };
  };
  const last = () => (walked.length ? choice(walked[walked.length - 1]) : null);
  const here = () => (walked.length ? last().to : 0);
  const ended = () => walked.length > 0 && (last().broken.length > 0 || here() === BEYOND);
  const choices = () => (ended() ? [] : world.states[here()].moves.map((_, place) => choice([here(), place])));
  const onPath = () => walked.length <= world.path.length && walked.every(([, place], n) => place === world.path[n]);

  const go = (place) => {
    walked.push([here(), place]);
    const { row } = last();
    const picture = pictures[row].cloneNode(true);
    picture.querySelector("text").textContent = walked.length;
    byId("rows").append(picture);
  };
  const back = (most) => {
    walked = walked.slice(0, most);
    while (byId("rows").children.length > most) byId("rows").lastChild.remove();
  };
  // moves without a choice: faults and early time-outs need not come; a state that was there ends it
  const on = () => {
    const known = new Set();
    for (;;) {
      const due = choices().map((c, place) => [c, place]).filter(([c]) => !c.optional);
      if (due.length !== 1 || known.has(here())) return;
      known.add(here());
      go(due[0][1]);
    }
  };
  const follow = () => {
    if (!onPath()) back(0);
    world.path.slice(walked.length).forEach(go);
  };

  const owner = (side, n) => {
    const span = made("span", `${side}: ${n === NOBODY ? "–" : n === UNKNOWN ? "?" : world.owners[n]}`, n < 0 ? "" : "owned");
    if (n >= 0) span.style.setProperty("--hue", HUES[n % HUES.length]);
    return span;
  };
  const showPages = (state, before) => {
    const cards = world.pages.map((address, n) => {
      const [firmware, books] = [state.firmware[n], state.books[n]];
      const card = made("div", "", "page");
      if (books !== UNKNOWN && books !== firmware) card.classList.add("differs");
      const known = before && before.books[n] !== UNKNOWN && books !== UNKNOWN;
      if (before && (before.firmware[n] !== firmware || (known && before.books[n] !== books))) card.classList.add("changed");
      card.append(made("b", address), owner("fw", firmware), owner("books", books));
      card.title = `the page at ${address}: its owner for firmware, and by the driver's books (–: none, ?: not known)`;
      return card;
    });
    byId("pages").replaceChildren(...cards);
    const rows = state.functions.map(([name, firmware, books]) => {
      const row = made("tr", "", books !== null && books !== firmware ? "bad" : "");
      row.append(made("td", name), made("td", firmware.toLocaleString("en"), "n"));
      row.append(made("td", books === null ? "unknown" : books.toLocaleString("en"), "n"));
      return row;
    });
    byId("functions").tBodies[0].replaceChildren(...rows);
    byId("functions").hidden = !rows.length;
    byId("counters").textContent = `counters: ${state.counters.map(([name, n]) => `${name} ${n}`).join(", ") || "all 0"}`;
    byId("waiting").textContent = `waiting: ${state.waiting.map(([who, what]) => `${who}: ${what}`).join("; ") || "none"}`;
  };
  const showMoves = () => {
    const following = onPath() ? world.path[walked.length] : undefined;
    const items = choices().map((c, place) => {
      const button = made("button", "", c.optional ? "optional" : "");
      button.type = "button";
      if (place === following) button.classList.add("following");
      const notes = [c.actor];
      if (c.optional) notes.push("need not come");
      if (place === following) notes.push("the path above");
      if (c.to === BEYOND) notes.push("leads out of this page");
      button.append(made("span", notes.join(" · "), "who"), c.words);
      button.addEventListener("click", () => { go(place); show(true); });
      const item = made("li");
      item.append(button);
      return item;
    });
    byId("moves").replaceChildren(...items);
  };
  const words = () => {
    if (!walked.length) return "The start: nothing has happened yet.";
    if (last().broken.length) return `${last().broken.join("; ")}. The search does not go on from a broken step.`;
    if (here() === BEYOND) return `This state is beyond the ${world.states.length.toLocaleString("en")} states of this page. Make the world smaller, as said above.`;
    if (!choices().length) return "Nothing can come any more: the world ends here.";
    return "";
  };
  const show = (scroll) => {
    const before = walked.length ? world.states[walked[walked.length - 1][0]] : null;
    // out of the page, the state before is the last that is known
    showPages(here() === BEYOND ? before : world.states[here()], here() === BEYOND ? null : before);
    showMoves();
    byId("state").textContent = words();
    byId("state").className = walked.length && last().broken.length ? "bad" : "";
    byId("back").disabled = byId("restart").disabled = !walked.length;
    byId("on").disabled = choices().filter((c) => !c.optional).length !== 1;
    byId("follow").disabled = onPath() && walked.length === world.path.length;
    if (!scroll) return;
    byId("state").scrollIntoView({ block: "nearest" });
    const first = byId("moves").querySelector("button");
    if (first) first.focus({ preventScroll: true });
  };

  byId("back").addEventListener("click", () => { back(walked.length - 1); show(true); });
  byId("restart").addEventListener("click", () => { back(0); show(true); });
  byId("on").addEventListener("click", () => { on(); show(true); });
  byId("follow").addEventListener("click", () => { follow(); show(true); });
  byId("stepping").hidden = false;
  show(false);
})();
