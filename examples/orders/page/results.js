// The totals of the last run of each kind, and the tokens.

import { element } from "./time_line.js";

const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

export function describe(run) {
  const how = run.locked ? "with the lock" : "without the lock";
  const many = count(run.expectedRequests, "request", "requests");
  if (!run.isOver) {
    return `Run ${run.number}: ${many} ${how}, sent by ${run.instance}.`;
  }
  const took = seconds(run.totals.at - run.start);
  return `Run ${run.number} is over: ${many} ${how}, in ${took}. ${verdict(run)}.`;
}

export function verdict(run) {
  const words = [];
  if (run.lost > 0) {
    words.push(`${count(run.lost, "update is", "updates are")} lost`);
  } else if (run.lost < 0) {
    words.push(`${count(-run.lost, "update was", "updates were")} written by a request that failed`);
  } else if (run.totals.found > 0) {
    words.push("no update is lost");
  }
  const refused = run.refused;
  if (refused.length > 0) {
    const statuses = [...new Set(refused.map((request) => request.status || "no answer"))];
    words.push(`${count(refused.length, "request", "requests")} refused (${statuses.join(", ")})`);
  }
  const text = words.join("; ") || "nothing was written";
  return text[0].toUpperCase() + text.slice(1);
}

export function drawResult(section, run) {
  const set = (name, text) => {
    section.querySelector(name).textContent = text;
  };
  const over = run.isOver;
  set(".expected", over ? run.totals.expected : "…");
  set(".found", over ? run.totals.found : "…");
  set(".took", over ? seconds(run.totals.at - run.start) : "…");
  const good = over && run.lost === 0 && run.refused.length === 0;
  const line = section.querySelector(".verdict");
  line.className = `verdict ${over ? (good ? "good" : "bad") : ""}`;
  line.textContent = over ? `${good ? "✓" : "✗"} ${verdict(run)}` : `Run ${run.number} is under way`;
}

export function drawTokens(list, run) {
  const tokens = run.tokens.map(String);
  list.replaceChildren(
    ...tokens.map((token, index) => {
      // What is as in the token before is pale.
      const before = tokens[index - 1] ?? "";
      let same = 0;
      while (same < token.length - 1 && token[same] === before[same]) {
        same += 1;
      }
      const item = element("li", "");
      item.append(element("span", "same", token.slice(0, same)), element("b", "", token.slice(same)));
      return item;
    }),
  );
}
