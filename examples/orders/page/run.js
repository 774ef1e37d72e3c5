// A run and its requests, as the events tell.

export class Run {
  constructor(event) {
    this.number = event.run;
    this.locked = event.locked;
    this.expectedRequests = event.requests;
    this.workMs = event.work_ms;
    this.instance = event.instance;
    this.start = event.at;
    this.latest = event.at;
    // By their numbers, in the order in which they arrived.
    this.requests = new Map();
    // How many requests have written each quantity.
    this.writers = new Map();
    this.totals = null;
  }

  apply(event) {
    this.latest = Math.max(this.latest, event.at);
    if (event.kind === "ended") {
      this.totals = { expected: event.expected, found: event.found, at: event.at };
      return;
    }
    const request = this.request(event.request);
    switch (event.kind) {
      case "arrived":
        request.arrived = event.at;
        request.instance = event.instance;
        break;
      case "working":
        request.working = event.at;
        request.token = event.token;
        break;
      case "nodes":
        request.nodes = event.nodes;
        break;
      case "worked":
        request.worked = event.at;
        break;
      case "answered":
        request.answered = event.at;
        request.status = event.status;
        request.quantity = event.quantity;
        this.writers.set(event.quantity, (this.writers.get(event.quantity) ?? 0) + 1);
        break;
    }
  }

  request(number) {
    if (!this.requests.has(number)) {
      this.requests.set(number, { place: this.requests.size + 1 });
    }
    return this.requests.get(number);
  }

  get isOver() {
    return this.totals !== null;
  }

  // An instance that is killed does not say how its run ended.
  isCutOff(now) {
    return !this.isOver && now - this.latest > 5000 + 2 * this.workMs;
  }

  // How many updates are lost. Fewer than none, if requests wrote and were answered with an error.
  get lost() {
    return this.totals ? this.totals.expected - this.totals.found : 0;
  }

  // Whether another request has read the same row, so that one of the two updates is lost.
  isOverwritten(request) {
    return request.quantity != null && this.writers.get(request.quantity) > 1;
  }

  get refused() {
    return [...this.requests.values()].filter((request) => request.status && request.status !== 200);
  }

  // Those that work or have worked, in the order in which they began, and then those that wait.
  get inOrder() {
    const since = (request) => request.working ?? Number.MAX_VALUE;
    return [...this.requests.values()].sort(
      (one, other) =>
        since(one) - since(other) || (one.token ?? 0) - (other.token ?? 0) || one.place - other.place,
    );
  }

  get tokens() {
    return this.inOrder.map((request) => request.token).filter((token) => token);
  }

  // The end of the time line, in milliseconds from the start of the run.
  end(now) {
    if (this.isOver) {
      return this.totals.at - this.start;
    }
    const turns = this.locked ? this.expectedRequests : 1;
    return Math.max(now - this.start, turns * this.workMs * 1.05);
  }
}
