// SPDX-License-Identifier: Apache-2.0
// The status page: asks /status.json every two seconds and shows it. All that came over the network
// goes into the page as text, never as markup.
"use strict";

const POLL_MS = 2000;
const $ = (id) => document.getElementById(id);

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// ---- Words ----

const count = (n) => Number(n).toLocaleString("en-US").replaceAll(",", "\u202f");

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return (unit > 0 && n < 10 ? n.toFixed(1) : n.toFixed(0)) + "\u00a0" + units[unit];
}

function age(s) {
  if (s < 100) return s.toFixed(s < 10 ? 1 : 0) + "\u00a0s";
  if (s < 6000) return (s / 60).toFixed(0) + "\u00a0min";
  if (s < 172800) return (s / 3600).toFixed(1) + "\u00a0h";
  return (s / 86400).toFixed(0) + "\u00a0days";
}

const several = (n, one, many) => `${count(n)} ${Number(n) === 1 ? one : many}`;
const date = (da) => /^\d{8}$/.test(da) ? `${da.slice(0, 4)}-${da.slice(4, 6)}-${da.slice(6)}` : da;
const person = (pn) => pn.split("=").filter(Boolean)
  .map((group) => group.replace(/\^+$/, "").replace("^", ", ").replaceAll("^", " ")).join(" · ");

// ---- Tables ----

function cell(label, content, kind) {
  const td = make("td", {"data-label": label}, content instanceof Node ? content
    : make("span", {}, String(content)));
  if (kind) td.className = kind;
  return td;
}

function fill(id, rows) {
  $(id).hidden = rows.length === 0;
  $(id + "-none").hidden = rows.length !== 0;
  $(id).tBodies[0].replaceChildren(...rows);
}

function progress(a) {
  const box = make("span", {});
  if (a.total > 0) {
    const done = a.completed + a.failed + a.warning;
    const text = `${count(done)} of ${count(a.total)}`;
    box.append(make("progress", {max: a.total, value: done, "aria-label": text}),
      make("span", {}, " " + text));
    if (a.failed > 0) box.append(make("span", {class: "failed"}, `, ${count(a.failed)} failed`));
  } else if (a.stored > 0) {
    box.append(`${count(a.stored)} stored`);
  } else if (a.operation !== null && a.responses > 0) {
    box.append(`${count(a.responses)} responses`);
  } else {
    box.append(a.operation !== null ? "…" : "–");
  }
  return box;
}

function showRunning(status) {
  fill("running", status.associations.map((a) => make("tr", {"data-number": a.number},
    cell("Calling AE", a.calling, "mono"), cell("Peer", a.peer, "mono"),
    cell("Operation", a.operation !== null ? "C-" + a.operation.toUpperCase() : "waits"),
    cell("Progress", progress(a)),
    cell("For", age(a.operation !== null ? a.operation_age_s : a.age_s), "n"),
    cell("In", bytes(a.bytes_in), "n"), cell("Out", bytes(a.bytes_out), "n"))));
}

function showRefusals(status) {
  fill("refusals", status.refusals.map((r) => make("tr", {},
    cell("When", new Date(r.time * 1000).toLocaleString(undefined,
      {dateStyle: "short", timeStyle: "medium"})),
    cell("What", r.what), cell("Calling AE", r.calling || "–", "mono"),
    cell("Peer", r.peer || "–", "mono"), cell("Reason", r.reason))));
}

function showOperations(status) {
  fill("operations", status.operations.map((o) => make("tr", {},
    cell("Service", "C-" + o.service.toUpperCase()), cell("Status", o.status || "–", "mono"),
    cell("Meaning", o.meaning), cell("Count", count(o.count), "n"))));
}

// ---- Cards ----

function card(name, value, more, low) {
  const dd = make("dd", low ? {class: "low"} : {}, value);
  if (more) dd.append(make("small", {}, more));
  return make("div", {}, make("dt", {}, name), dd);
}

function showCards(s) {
  const cards = [];
  if (s.archive) {
    cards.push(card("Studies", count(s.archive.studies), several(s.archive.patients, "patient", "patients")),
      card("Series", count(s.archive.series), several(s.archive.files, "file", "files")
        + (s.archive.bytes ? `, ${bytes(s.archive.bytes)}` : "")
        + (s.archive.bad_files ? `, ${count(s.archive.bad_files)} unreadable` : "")),
      card("Instances", count(s.archive.instances)));
  }
  cards.push(card("Associations", count(s.open),
    `${count(s.accepted)} accepted, ${count(s.rejected)} rejected`));
  const asked = s.cache.hits + s.cache.coalesced + s.cache.misses;
  cards.push(card("Cache", bytes(s.cache.bytes), `of ${bytes(s.cache.limit_bytes)}`
    + (asked ? `, ${(100 * (asked - s.cache.misses) / asked).toFixed(0)}\u00a0% hits` : "")));
  cards.push(card("Decoding", count(s.decoding.running), `${count(s.decoding.waiting)} wait`));
  if (s.spool) {
    cards.push(card("Spool", count(s.spool.instances), `${bytes(s.spool.bytes)} to be packed`
      + (s.spool.failing_series ? `; ${count(s.spool.failing_series)} series fail` : "")
      + (s.spool.failing ? "; nothing can be written now" : ""),
      s.spool.failing_series > 0 || s.spool.failing));
  }
  const disks = new Map(); // those that are one disk stand together
  for (const disk of s.disks) {
    const key = `${disk.free_bytes} ${disk.total_bytes}`;
    disks.set(key, {...disk, uses: [...(disks.has(key) ? disks.get(key).uses : []), disk.use]});
  }
  for (const disk of disks.values()) {
    cards.push(card(`Disk (${disk.uses.join(", ")})`, bytes(disk.free_bytes),
      `free of ${bytes(disk.total_bytes)}`,
      disk.uses.includes("store") && disk.free_bytes < s.reserve_bytes));
  }
  cards.push(card("Memory", bytes(s.memory_bytes), `${age(s.cpu_s)} of processor time`));
  $("cards").replaceChildren(...cards);
}

// ---- Plots ----

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 180, TOP = 20, BOTTOM = 22, SPAN_MS = 600000;

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Runs of values that there are, as lists of indexes.
function runs(values) {
  const found = [];
  values.forEach((v, i) => {
    if (v === null) return;
    if (i === 0 || values[i - 1] === null) found.push([]);
    found[found.length - 1].push(i);
  });
  return found;
}

// lines: [{kind, values}] with one value, or null, for each time; top: what the upper edge means.
function plot(id, times, lines, top, topText, summary) {
  const svg = $(id), width = Math.max(200, svg.clientWidth);
  const last = times.length ? times[times.length - 1] : 0;
  const x = (t) => (width - (last - t) / SPAN_MS * width).toFixed(1);
  const y = (v) => (HEIGHT - BOTTOM - v / top * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const parts = [shape("line", {class: "grid", x1: 0, x2: width, y1: y(0), y2: y(0)}),
    shape("line", {class: "grid", x1: 0, x2: width, y1: y(top), y2: y(top)}),
    shape("text", {x: 0, y: TOP - 5}, topText),
    shape("text", {x: 0, y: HEIGHT - 6}, "10 min ago"),
    shape("text", {x: width, y: HEIGHT - 6, "text-anchor": "end"}, "now")];
  for (const line of lines) {
    for (const run of runs(line.values)) {
      const points = run.map((i) => `${x(times[i])},${y(line.values[i])}`).join(" ");
      if (line.kind === "first") {
        parts.push(shape("polygon", {class: "area",
          points: `${x(times[run[0]])},${y(0)} ${points} ${x(times[run[run.length - 1]])},${y(0)}`}));
      }
      parts.push(shape("polyline", {class: line.kind, points}));
    }
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(...parts);
  svg.setAttribute("aria-label", summary);
}

// The upper edge: a power of two times `least`, at or above the largest value.
function ceiling(values, least) {
  const most = Math.max(least, ...values);
  let top = least;
  while (top < most) top *= 2;
  return top;
}

function legend(id, first, second) {
  $(id).replaceChildren(make("b", {class: "first"}, first), " · ", make("b", {class: "second"}, second));
}

function showPlots(status) {
  const samples = status.samples, times = [], sent = [], received = [], hits = [];
  for (let i = 1; i < samples.length; i++) {
    const [t, bytesIn, bytesOut, hit, miss] = samples[i];
    const [t0, bytesIn0, bytesOut0, hit0, miss0] = samples[i - 1];
    const seconds = Math.max(0.001, (t - t0) / 1000), asked = hit - hit0 + miss - miss0;
    times.push(t);
    sent.push((bytesOut - bytesOut0) / seconds);
    received.push((bytesIn - bytesIn0) / seconds);
    hits.push(asked > 0 ? 100 * (hit - hit0) / asked : null);
  }
  const now = (values) => values.length ? values[values.length - 1] : 0;
  const top = ceiling([...sent, ...received], 1048576);
  const out = `out ${bytes(now(sent))}/s`, inward = `in ${bytes(now(received))}/s`;
  legend("throughput-legend", out, inward);
  plot("throughput", times, [{kind: "first", values: sent}, {kind: "second", values: received}], top,
    bytes(top) + "/s", `Throughput of the last ten minutes; now ${out}, ${inward}`);
  const full = samples.slice(1).map((s) =>
    status.cache.limit_bytes ? Math.min(100, 100 * s[5] / status.cache.limit_bytes) : 0);
  const filled = `${now(full).toFixed(0)}\u00a0% full`;
  const hit = now(hits) === null ? "nothing asked for" : `${now(hits).toFixed(0)}\u00a0% hits`;
  legend("cache-legend", filled, hit);
  plot("cache", times, [{kind: "first", values: full}, {kind: "second", values: hits}], 100, "100 %",
    `Cache of the last ten minutes; now ${filled}, ${hit}`);
}

// ---- The node ----

function showState(text, kind) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = "badge " + kind;
}

function show(status) {
  const host = status.address.includes(":") ? `[${status.address}]` : status.address;
  $("title").textContent = status.ae_title;
  document.title = `${status.ae_title} – dcbscp`;
  $("where").textContent = `dcbscp ${status.version}`
    + (status.port ? ` on ${host}:${status.port}` : "") + `, up ${age(status.uptime_s)}`;
  showState(status.ready ? "ready" : status.not_ready, status.ready ? "good" : "bad");
  $("q-label").hidden = !status.patient_data;
  $("search-closed").hidden = status.patient_data;
  showTitles(status);
  showRunning(status);
  showCards(status);
  showPlots(status);
  showRefusals(status);
  showOperations(status);
}

async function ask(path) {
  const answer = await fetch(path, {cache: "no-store"});
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `status ${answer.status}`);
  return body;
}

let last = null;

async function poll() {
  try {
    if (!document.hidden) {
      last = await ask("/status.json");
      show(last);
    }
  } catch (error) {
    showState(error instanceof TypeError ? "the node does not answer" : error.message, "bad");
  }
  setTimeout(poll, POLL_MS);
}

// ---- Studies ----

function showTitles(status) {
  if ($("of").options.length === status.titles.length) return;
  $("of").replaceChildren(...status.titles.map((title) => make("option", {}, title)));
  $("of-label").hidden = status.titles.length < 2;
}

// Of a series of the archive that was searched.
function picture(uid, alt, of) {
  const box = make("div", {class: "picture"});
  const image = make("img", {src: "/thumbnail.png?" + new URLSearchParams({series: uid, title: of}),
    alt, loading: "lazy"});
  image.addEventListener("error", () => box.replaceChildren("no picture"));
  box.append(image);
  return box;
}

function seriesItem(s, of) {
  const name = [s.modality, s.number && "no. " + s.number].filter(Boolean).join(" ") || "series";
  const more = [s.description, s.body_part].filter(Boolean).join(", ");
  return make("li", {}, make("figure", {}, picture(s.uid, `Middle image of series ${name}`, of),
    make("figcaption", {}, make("b", {}, name), make("br"), more, more ? make("br") : "",
      several(s.instances, "instance", "instances"))));
}

async function openStudy(box, uid, of) {
  const list = make("ul", {class: "series"}, make("li", {}, "…"));
  box.append(list);
  try {
    const found = await ask("/series.json?" + new URLSearchParams({study: uid, title: of}));
    list.replaceChildren(...found.series.map((s) => seriesItem(s, of)));
  } catch (error) {
    list.replaceChildren(make("li", {}, error.message));
  }
}

function studyItem(s, of) {
  const counts = `${s.modalities.replaceAll("\\", ", ")} · ${count(s.series)} series · `
    + several(s.instances, "instance", "instances");
  if (s.uid === undefined) {
    return make("li", {}, make("div", {class: "study"},
      make("span", {class: "study-name"}, date(s.date) || "no date"),
      make("span", {class: "study-more"}, counts)));
  }
  const born = [s.birth_date && "born " + date(s.birth_date), s.sex].filter(Boolean).join(", ");
  const details = make("details", {}, make("summary", {},
    make("span", {class: "study-name"}, person(s.patient_name) || "no name"),
    make("span", {class: "study-more"},
      [s.patient_id, born, date(s.date), s.description, s.accession_number, counts]
        .filter(Boolean).join(" · "))));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) openStudy(details, s.uid, of);
  });
  return make("li", {}, details);
}

async function searchStudies(event) {
  event.preventDefault();
  const of = $("of").value;
  const parameters = new URLSearchParams({title: of});
  const compact = (id) => $(id).value.replaceAll("-", "");
  if ($("q").value.trim()) parameters.set("q", $("q").value.trim());
  if (compact("from") || compact("to")) parameters.set("date", `${compact("from")}-${compact("to")}`);
  if ($("modality").value.trim()) parameters.set("modality", $("modality").value.trim().toUpperCase());
  $("found").textContent = "…";
  try {
    const found = await ask("/studies.json?" + parameters);
    const n = found.studies.length;
    $("studies").replaceChildren(...found.studies.map((s) => studyItem(s, of)));
    $("found").textContent = n === 0 ? "No study matches."
      : `${found.more ? "The first " : ""}${n} ${n === 1 ? "study" : "studies"}`
        + (found.more ? "; narrow the search to see others." : ".");
  } catch (error) {
    $("studies").replaceChildren();
    $("found").textContent = error.message;
  }
}

$("search").addEventListener("submit", searchStudies);
addEventListener("resize", () => { if (last !== null) showPlots(last); });
poll();
