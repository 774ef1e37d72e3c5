// Gets the events, keeps the page up to date, and sends what the buttons ask for.

import { describe, drawResult, drawTokens } from "./results.js";
import { Run } from "./run.js";
import { TimeLine, element, letter } from "./time_line.js";

const get = (id) => document.getElementById(id);

const still = matchMedia("(prefers-reduced-motion: reduce)");
const timeLine = new TimeLine(get("rows"), get("axis"));

let runs = new Map();
let current = null;
let drawing = false;

// The clock of the server, in milliseconds, as far as the events tell.
const clock = {
  offset: null,
  set(now) {
    const offset = now - performance.now();
    this.offset = this.offset === null ? offset : Math.max(this.offset, offset);
  },
  now() {
    return performance.now() + (this.offset ?? 0);
  },
};

function apply(event) {
  if (event.kind === "started") {
    const run = new Run(event);
    runs.set(run.number, run);
    if (current === null || run.number > current.number) {
      current = run;
      get("empty").hidden = true;
      get("lines").hidden = false;
    }
  } else {
    runs.get(event.run)?.apply(event);
  }
}

function drawWords() {
  for (const locked of [true, false]) {
    const latest = [...runs.values()].filter((run) => run.locked === locked).at(-1);
    if (latest) {
      drawResult(get(locked ? "locked" : "unlocked"), latest);
    }
  }
  if (current) {
    say(describe(current), current.lost > 0);
    get("tokens").hidden = current.tokens.length === 0;
    drawTokens(get("token-list"), current);
  }
}

function say(words, bad) {
  const status = get("status");
  // A screen reader reads what changes.
  if (status.textContent !== words) {
    status.textContent = words;
    status.classList.toggle("bad", bad);
  }
}

// Draws the lines until the run is over.
function draw() {
  const now = clock.now();
  if (current) {
    timeLine.draw(current, now);
  }
  drawing = current !== null && !current.isOver && !current.isCutOff(now);
  if (drawing) {
    if (still.matches) {
      setTimeout(draw, 250);
    } else {
      requestAnimationFrame(draw);
    }
  }
}

function drawNodes(nodes) {
  const items = nodes.map((node, index) => {
    const item = element("li", node.answers ? "" : "down");
    const words = node.answers ? node.address : `${node.address} ${node.state}`;
    item.append(element("b", "", letter(index)), element("span", "", words));
    return item;
  });
  get("nodes").replaceChildren(...items);
  const answering = nodes.filter((node) => node.answers).length;
  const quorum = Math.floor(nodes.length / 2) + 1;
  const answers = answering === nodes.length ? "All answer." : `${answering} answer.`;
  const enough = answering >= quorum ? "" : " Requests that need a lock get 503.";
  get("quorum").textContent =
    `A lock needs its key on ${quorum} of ${nodes.length} nodes. ${answers}${enough}`;
}

function listen() {
  const source = new EventSource("live");
  const on = (name, handle) => {
    source.addEventListener(name, (message) => handle(JSON.parse(message.data)));
  };
  // The first event of each connection. All others follow again.
  on("hello", ({ instance }) => {
    get("instance").textContent = instance;
    get("connection").textContent = "";
    runs = new Map();
    current = null;
    clock.offset = null;
  });
  on("nodes", drawNodes);
  on("events", ({ now, events }) => {
    clock.set(now);
    events.forEach(apply);
    drawWords();
    if (!drawing) {
      draw();
    }
  });
  source.addEventListener("error", () => {
    get("connection").textContent = "The connection is lost. The page tries to connect again.";
    // A browser does not try again by itself after an answer such as 502.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(listen, 2000);
    }
  });
}

async function run(locked) {
  const buttons = [get("run-locked"), get("run-unlocked")];
  const body = { locked, requests: get("requests").valueAsNumber, work_ms: get("work").valueAsNumber };
  for (const button of buttons) {
    button.disabled = true;
  }
  try {
    const answer = await fetch("runs", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) {
      const { error } = await answer.json();
      say(`The run was refused: ${error}.`, true);
    }
  } catch (error) {
    say(`The run got no answer: ${error.message}.`, true);
  } finally {
    for (const button of buttons) {
      button.disabled = false;
    }
    get(locked ? "run-locked" : "run-unlocked").focus({ preventScroll: true });
  }
}

function slider(id, words) {
  const show = () => {
    get(`${id}-shown`).textContent = words(get(id).value);
    get(id).setAttribute("aria-valuetext", words(get(id).value));
  };
  get(id).addEventListener("input", show);
  show();
}

slider("requests", (value) => value);
slider("work", (value) => `${value} ms`);
get("run-locked").addEventListener("click", () => run(true));
get("run-unlocked").addEventListener("click", () => run(false));
listen();
