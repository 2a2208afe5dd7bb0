// What the pages do by themselves: running clocks, questions before an end, live output, files.
"use strict";

const words = (seconds) => {
  const left = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(left / unit));
  const two = (large, small) => (small.startsWith("0 ") ? large : `${large} ${small}`);
  if (days) return two(`${days} d`, `${hours % 24} h`);
  if (hours) return two(`${hours} h`, `${minutes % 60} min`);
  if (minutes) return two(`${minutes} min`, `${left % 60} s`);
  return `${left} s`;
};

const tick = () => {
  for (const time of document.querySelectorAll("time[data-ago], time[data-since]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    let text = words(seconds);
    if ("ago" in time.dataset) {
      text = seconds < 5 ? "just now" : `${text.split(" ").slice(0, 2).join(" ")} ago`;
    }
    if (time.textContent !== text) time.textContent = text;
  }
};
setInterval(tick, 1000);

// Forms that end something ask first; without this script they just do it.
const dialog = document.getElementById("confirm");
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  document.getElementById("confirm-text").textContent = form.dataset.confirm;
  document.getElementById("confirm-yes").textContent = form.dataset.yes;
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.confirmed = "yes";
    form.requestSubmit();
  }, { once: true });
  dialog.showModal();
});

// Live output: one line an element, the oldest forgotten, so that a page never grows without end.
const LINES_KEPT = 5000;
const COLOURS = 6;

class Output {
  constructor(view) {
    this.view = view;
    this.state = document.getElementById("log-state");
    this.empty = document.getElementById("log-empty");
    this.service = document.getElementById("log-service");
    this.follow = document.getElementById("log-follow");
    this.colours = new Map();
    this.service.addEventListener("change", () => this.open());
    this.follow.addEventListener("change", () => this.scroll());
    view.addEventListener("scroll", () => {
      this.follow.checked = view.scrollHeight - view.scrollTop - view.clientHeight < 24;
    });
    this.open();
  }

  open() {
    this.source?.close();
    this.view.replaceChildren();
    this.unfinished = new Map();
    const query = new URLSearchParams({ follow: "true", tail: "2000", service: this.service.value });
    document.getElementById("log-file").search =
      `?${new URLSearchParams({ follow: "false", service: this.service.value })}`;
    this.source = new EventSource(`${this.view.dataset.url}?${query}`);
    this.source.onopen = () => this.say("live");
    this.source.onerror = () => this.say("connecting…");
    this.source.addEventListener("log", (event) => this.add(JSON.parse(event.data)));
    this.source.addEventListener("end", () => {
      this.source.close();
      this.say("complete");
      if (!this.view.children.length) {
        this.empty.textContent = "It wrote nothing.";
        this.view.append(this.empty);
      }
    });
    if (this.empty) this.view.append(this.empty);
  }

  say(text) { this.state.textContent = text; }

  add(piece) {
    this.empty.remove();
    const [, service, ordinal] = piece.instance.split("/");
    const label = `${service}.${ordinal}${piece.attempt > 1 ? `#${piece.attempt}` : ""}`;
    const key = `${label}.${piece.stream}`;
    const lines = piece.text.split("\n");
    const rest = lines.pop();
    const added = document.createDocumentFragment();
    for (const line of lines) {
      this.write(added, key, label, piece.stream, line);
      this.unfinished.delete(key);
    }
    if (rest) this.write(added, key, label, piece.stream, rest);
    this.view.append(added);
    while (this.view.children.length > LINES_KEPT) this.view.firstElementChild.remove();
    this.scroll();
  }

  write(added, key, label, stream, text) {
    let row = this.unfinished.get(key);
    if (!row) {
      row = document.createElement("div");
      row.className = stream === "stderr" ? "zoe-log-row is-stderr" : "zoe-log-row";
      const name = document.createElement("span");
      name.className = `zoe-log-name is-colour-${this.colour(label)}`;
      name.textContent = label;
      const content = document.createElement("span");
      content.className = "zoe-log-text";
      row.append(name, content);
      added.append(row);
      this.unfinished.set(key, row);
    }
    // A progress bar writes over its line: what stands after the last return is what is seen.
    const shown = (row.lastChild.textContent + text).replace(/\r+$/, "");
    row.lastChild.textContent = shown.slice(shown.lastIndexOf("\r") + 1);
  }

  colour(label) {
    const service = label.slice(0, label.lastIndexOf("."));
    if (!this.colours.has(service)) this.colours.set(service, this.colours.size % COLOURS);
    return this.colours.get(service);
  }

  scroll() {
    if (this.follow.checked) this.view.scrollTop = this.view.scrollHeight;
  }
}

const view = document.getElementById("log");
if (view) new Output(view);

// The description can be chosen, dropped or pasted; it is always seen before it is sent.
const box = document.getElementById("document");
if (box) {
  const upload = document.getElementById("upload");
  const read = async (file) => { if (file) box.value = await file.text(); };
  upload.addEventListener("change", () => read(upload.files[0]));
  box.addEventListener("input", () => { upload.value = ""; });
  box.addEventListener("dragover", (event) => event.preventDefault());
  box.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    upload.value = "";
    read(event.dataTransfer.files[0]);
  });
  document.getElementById("use-example").addEventListener("click", () => {
    upload.value = "";
    box.value = document.querySelector(".zoe-example").textContent;
    box.focus();
  });
  document.querySelector(".zoe-listing .is-wrong")?.scrollIntoView({ block: "center" });
}
