// The lines of the requests of one run.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

export const letter = (index) => LETTERS[index] ?? String(index + 1);

export function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) {
    made.textContent = text;
  }
  return made;
}

export class TimeLine {
  constructor(rows, axis) {
    this.rows = rows;
    this.axis = axis;
    this.run = null;
    this.lines = new Map();
  }

  draw(run, now) {
    if (run !== this.run) {
      this.run = run;
      this.lines.clear();
      this.rows.replaceChildren();
    }
    const end = Math.max(run.end(now), 1);
    this.drawAxis(end);
    run.inOrder.forEach((request, index) => {
      if (!this.lines.has(request)) {
        this.lines.set(request, new Line(request, run));
      }
      const line = this.lines.get(request);
      line.draw(now, end);
      if (this.rows.children[index] !== line.row) {
        this.rows.insertBefore(line.row, this.rows.children[index] ?? null);
      }
    });
  }

  drawAxis(end) {
    const step = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((step) => end / step <= 6);
    const ticks = [];
    for (let at = 0; at <= end * 0.93; at += step ?? 20000) {
      const tick = element("b", "", at === 0 ? "0" : at < 1000 ? `${at} ms` : `${at / 1000} s`);
      tick.style.left = `${(100 * at) / end}%`;
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }
}

class Line {
  constructor(request, run) {
    this.request = request;
    this.run = run;
    this.row = element("div", "line");
    this.row.setAttribute("role", "row");
    const cell = (className) => {
      const made = element("span", className);
      made.setAttribute("role", "cell");
      this.row.append(made);
      return made;
    };
    cell("request").textContent = String(request.place);
    this.instance = cell("instance");
    const bar = cell("bar");
    this.waiting = element("i", "waiting");
    this.working = element("i", run.locked ? "holding" : "unlocked");
    this.words = element("span", "hidden");
    bar.append(this.waiting, this.working, this.words);
    this.keys = cell("keys");
    this.token = cell("token");
    this.wrote = cell("wrote");
    this.drawn = "";
  }

  draw(now, end) {
    const { request, run } = this;
    const arrived = request.arrived ?? run.start;
    const over = request.worked ?? request.answered ?? (run.isOver ? run.totals.at : now);
    this.place(this.waiting, arrived, request.working ?? over, end, run.locked);
    this.place(this.working, request.working, over, end, request.working !== undefined);
    // The words change only with an event.
    const state = `${JSON.stringify(request)} ${run.isOverwritten(request)}`;
    if (state !== this.drawn) {
      this.drawn = state;
      this.write();
    }
  }

  place(bar, from, to, end, shown) {
    bar.hidden = !shown;
    if (shown) {
      const share = (time) => (100 * Math.max(0, time - this.run.start)) / end;
      const left = Math.min(share(from), 100);
      bar.style.left = `${left}%`;
      bar.style.width = `${Math.max(0, Math.min(share(to), 100) - left)}%`;
    }
  }

  write() {
    const { request, row } = this;
    this.instance.textContent = request.instance ?? "";
    this.instance.title = request.instance ?? "";
    this.token.textContent = request.token ? `…${String(request.token).slice(-9)}` : "";
    this.token.title = request.token ? `Fencing token ${request.token}` : "";
    this.keys.replaceChildren(...(request.nodes ?? []).map(this.key));
    const refused = request.status !== undefined && request.status !== 200;
    row.classList.toggle("refused", refused);
    row.classList.toggle("overwritten", this.run.isOverwritten(request));
    if (refused) {
      this.wrote.textContent = request.status ? String(request.status) : "no answer";
    } else if (request.quantity != null) {
      this.wrote.textContent = `${request.quantity - 1} → ${request.quantity}`;
    }
    this.words.textContent = this.describe();
  }

  key(state, index) {
    const words = { key: "has the key", no_key: "has no key", no_answer: "does not answer" }[state];
    const made = element("b", state, letter(index));
    made.title = `Node ${letter(index)} ${words}`;
    made.append(element("span", "hidden", ` ${words}`));
    return made;
  }

  describe() {
    const { arrived, working, worked, status } = this.request;
    const words = [];
    if (working !== undefined) {
      words.push(`waited ${working - (arrived ?? working)} ms`);
      words.push(worked === undefined ? "works" : `worked ${worked - working} ms`);
    } else {
      words.push(status === undefined ? "waits" : "was refused");
    }
    return words.join(", ");
  }
}
