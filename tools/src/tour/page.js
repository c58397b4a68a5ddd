"use strict";
// The tour: shows the steps that are in the page, one at a time. A step is shown
// before it is executed; what is marked was changed by the step before it.

const tour = JSON.parse(document.getElementById("steps").textContent);
const steps = tour.steps;
const $ = id => document.getElementById(id);
const escape = text => String(text).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const number = text => BigInt("0x" + text);
const PAGE = 4096, TEXT = 0xb8000;

/* ---- Memory: sparse pages, changed step by step in both directions ---------- */

const pages = new Map();      // number of the page: { bytes, known }
const undo = new Array(steps.length);
let applied = 0;              // the effects of the steps before this one are there

function page(n) {
  let found = pages.get(n);
  if (!found) pages.set(n, found = { bytes: new Uint8Array(PAGE), unknown: null });
  return found;
}
function byteAt(address) {
  const found = pages.get(Math.floor(address / PAGE));
  if (!found) return 0;
  const at = address % PAGE;
  return found.unknown && found.unknown[at] ? -1 : found.bytes[at];
}
function quadAt(address) {
  let value = 0n;
  for (let n = 7; n >= 0; n--) value = value << 8n | BigInt(Math.max(0, byteAt(address + n)));
  return value;
}
function put(address, bytes, unknown) {
  for (let done = 0; done < bytes.length;) {
    const found = page(Math.floor((address + done) / PAGE)), at = (address + done) % PAGE;
    const count = Math.min(PAGE - at, bytes.length - done);
    found.bytes.set(bytes.subarray(done, done + count), at);
    if (unknown || found.unknown) {
      found.unknown ??= new Uint8Array(PAGE);
      if (unknown) found.unknown.set(unknown.subarray(done, done + count), at);
      else found.unknown.fill(0, at, at + count);
    }
    done += count;
  }
}
function get(address, length) {
  const bytes = new Uint8Array(length);
  let unknown = null;
  for (let n = 0; n < length; n++) {
    const value = byteAt(address + n);
    if (value < 0) (unknown ??= new Uint8Array(length))[n] = 1;
    else bytes[n] = value;
  }
  return { bytes, unknown };
}
function content(write) {
  const [, what, fill] = write;
  if (typeof what === "string") {
    const bytes = new Uint8Array(what.length / 2);
    for (let n = 0; n < bytes.length; n++) bytes[n] = parseInt(what.substr(n * 2, 2), 16);
    return bytes;
  }
  return new Uint8Array(what).fill(fill ?? 0);
}
function writes(step) {
  return (step.w ?? []).map(write => {
    const bytes = content(write);
    return { address: Number(number(write[0])), bytes, unknown: write[2] === null ? new Uint8Array(bytes.length).fill(1) : null };
  });
}
function decode64(text) { return Uint8Array.from(atob(text), c => c.charCodeAt(0)); }
function toStep(target) {
  while (applied < target) {
    const all = writes(steps[applied]);
    undo[applied] ??= all.map(({ address, bytes }) => ({ address, ...get(address, bytes.length) }));
    for (const { address, bytes, unknown } of all) put(address, bytes, unknown);
    applied++;
  }
  while (applied > target) {
    applied--;
    for (const { address, bytes, unknown } of [...undo[applied]].reverse()) put(address, bytes, unknown);
  }
}
for (const [address, text] of tour.memory) put(Number(number(address)), decode64(text));

/* ---- The CPU: a full state every 64 steps ----------------------------------- */

const states = [];
{
  const state = {};
  steps.forEach((step, n) => {
    Object.assign(state, step.r);
    if (n % 64 === 0) states.push({ ...state });
  });
}
function stateAt(n) {
  const state = { ...states[Math.floor(n / 64)] };
  for (let at = n - n % 64 + 1; at <= n; at++) Object.assign(state, steps[at].r);
  return state;
}
const codeOf = n => tour.code[steps[n].c];
const MODES = {
  real: ["16", "real mode", ""], vm86: ["16", "virtual 8086 mode", ""],
  prot16: ["16", "protected mode", "prot"], prot32: ["32", "protected mode", "prot"],
  compat16: ["16", "long mode, compatibility", "compat"], compat32: ["32", "long mode, compatibility", "compat"],
  long64: ["64", "long mode", "long"],
};
const long = state => (number(state.efer) >> 10n & 1n) === 1n;
const paging = state => (number(state.cr0) >> 31n & 1n) === 1n;

/* ---- Page tables and descriptors --------------------------------------------- */

const LEVELS = ["PML4", "PDPT", "PD", "PT"];
const ADDRESS = 0x000ffffffffff000n;
function rights(entry) {
  if (!(entry & 1n)) return "not present";
  return [entry & 2n ? "writable" : "read-only", entry >> 63n ? "not executable" : "executable",
    entry & 4n ? "user" : "supervisor"].join(", ");
}
function walk(state, address) {
  const rows = [];
  if (!paging(state)) return { rows, physical: address, writable: true, executable: true };
  let table = number(state.cr3) & ADDRESS, writable = true, executable = true;
  for (let level = 0; level < 4; level++) {
    const shift = BigInt(39 - 9 * level), index = address >> shift & 511n;
    const at = table + index * 8n, entry = quadAt(Number(at));
    rows.push({ level: LEVELS[level], index, at, entry });
    if (!(entry & 1n)) return { rows, physical: null };
    writable &&= (entry & 2n) !== 0n;
    executable &&= !(entry >> 63n);
    table = entry & ADDRESS;
    if (level === 3 || level > 0 && entry & 128n) {
      const mask = (1n << shift) - 1n;
      return { rows, physical: table & ~mask | address & mask, writable, executable };
    }
  }
}
function descriptor(high, selector) {
  const access = Number(high >> 8n & 0xffn), flags = Number(high >> 20n & 0xfn);
  const words = [];
  if (!(access & 0x80)) return "not present";
  if (access & 0x10) {
    words.push(access & 8 ? "code" : "data");
    if (access & 8) words.push(flags & 2 ? "64 bits" : flags & 4 ? "32 bits" : "16 bits", access & 2 ? "readable" : "execute only");
    else words.push(access & 2 ? "writable" : "read-only", flags & 4 ? "32-bit stack" : "16-bit stack");
  } else words.push({ 2: "LDT", 9: "TSS, available", 11: "TSS, busy" }[access & 15] ?? "system");
  words.push("ring " + (access >> 5 & 3), flags & 8 ? "limit in 4 KiB" : "limit in bytes");
  return words.join(", ");
}

/* ---- Panels ------------------------------------------------------------------- */

const REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const BITS = {
  rflags: { 0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF", 14: "NT", 16: "RF", 17: "VM", 18: "AC", 21: "ID" },
  cr0: { 0: "PE", 1: "MP", 2: "EM", 3: "TS", 4: "ET", 5: "NE", 16: "WP", 18: "AM", 29: "NW", 30: "CD", 31: "PG" },
  cr4: { 0: "VME", 1: "PVI", 2: "TSD", 3: "DE", 4: "PSE", 5: "PAE", 6: "MCE", 7: "PGE", 9: "OSFXSR", 10: "OSXMMEXCPT", 12: "LA57", 13: "VMXE", 18: "OSXSAVE", 20: "SMEP", 21: "SMAP" },
  efer: { 0: "SCE", 8: "LME", 10: "LMA", 11: "NXE" },
};
const MEANING = {
  PE: "protection enable", MP: "monitor coprocessor", EM: "emulation", TS: "task switched", ET: "extension type", NE: "numeric error", WP: "write protect", AM: "alignment mask", NW: "not write-through", CD: "cache disable", PG: "paging",
  VME: "virtual 8086 extensions", PVI: "protected virtual interrupts", TSD: "time stamp disable", DE: "debugging extensions", PSE: "page size extensions", PAE: "physical address extension", MCE: "machine check enable", PGE: "global pages", OSFXSR: "FXSAVE and SSE", OSXMMEXCPT: "SSE exceptions", LA57: "page tables of five levels", VMXE: "virtual machines", OSXSAVE: "XSAVE", SMEP: "no execution of user pages", SMAP: "no access to user pages",
  SCE: "system call extensions", LME: "long mode enable", LMA: "long mode active", NXE: "no-execute enable",
  CF: "carry", PF: "parity", AF: "auxiliary carry", ZF: "zero", SF: "sign", TF: "trap", IF: "interrupt enable", DF: "direction", OF: "overflow", NT: "nested task", RF: "resume", VM: "virtual 8086 mode", AC: "alignment check", ID: "CPUID exists",
};
const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs", "tr", "ldtr"];

let now = 0;

function showRegisters(state, before, mode) {
  const width = mode === "long64" ? 16 : 8;
  const cell = name => {
    const changed = before && state[name] !== before[name];
    return `<td><b>${name.toUpperCase()}</b><span class="${changed ? "changed" : ""}">${state[name].padStart(width, "0")}</span></td>`;
  };
  const names = mode === "long64" ? REGISTERS : REGISTERS.slice(0, 8);
  let rows = "";
  for (let n = 0; n < names.length; n += 2) rows += `<tr>${cell(names[n])}${cell(names[n + 1])}</tr>`;
  rows += `<tr>${cell("rip")}<td><b>A20</b><span class="${before && state.a20 !== before.a20 ? "changed" : ""}">${state.a20 === "1" ? "open" : "closed"}</span></td></tr>`;
  rows += `<tr>${cell("cr3")}${cell("cr2")}</tr>`;
  $("registers").innerHTML = rows;
  $("bits").innerHTML = Object.entries(BITS).map(([name, bits]) => {
    const value = number(state[name]), old = before ? number(before[name]) : value;
    const shown = Object.entries(bits).map(([bit, label]) => {
      const on = value >> BigInt(bit) & 1n, was = old >> BigInt(bit) & 1n;
      return `<span class="bit${on ? " on" : ""}${on !== was ? " changed" : ""}" title="bit ${bit}: ${MEANING[label]}">${label}<span class="sr"> ${on ? "set" : "clear"}${on !== was ? ", changed" : ""}</span></span>`;
    }).join("");
    return `<div class="reg"><b>${name.toUpperCase()}</b><code>${state[name].padStart(name === "rflags" ? 4 : 8, "0")}</code> ${shown}</div>`;
  }).join("");
  $("segments").innerHTML = "<tr><th></th><th>selector</th><th>base</th><th>limit</th><th>descriptor</th></tr>" + SEGMENTS.map(name => {
    const [selector, base, limit, high] = state[name];
    const changed = before && String(state[name]) !== String(before[name]);
    const words = mode === "real" ? "real mode: base = selector × 16" : number(high) ? descriptor(number(high)) : "null";
    return `<tr><th>${name.toUpperCase()}</th><td class="${changed ? "changed" : ""}">${selector.padStart(4, "0")}</td><td>${base}</td><td>${limit}</td><td>${words}</td></tr>`;
  }).join("") + ["gdtr", "idtr"].map(name => `<tr><th>${name.toUpperCase()}</th><td class="${before && String(state[name]) !== String(before[name]) ? "changed" : ""}"></td><td>${state[name][0]}</td><td>${state[name][1]}</td><td></td></tr>`).join("");
}

const fileLines = tour.files.map(file => file.text === null ? null : file.text.split("\n"));
const executed = new Map();
for (const [, , , , place] of tour.code) if (place) {
  if (!executed.has(place[0])) executed.set(place[0], new Set());
  executed.get(place[0]).add(place[1]);
}
let shownFile = -1;
const lineHeight = 12 * 1.4;  // of page.css
const SOURCE_LINES = 18;      // as many are visible
let firstLine = 0;            // the first of them
function showSource(place) {
  const list = $("source");
  if (!place && shownFile >= 0 && shownFile !== null) {
    // The compiler made this instruction; it belongs to no line.
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    $("source-name").textContent = `${tour.files[shownFile].name}: no line`;
    return;
  }
  if (!place || !fileLines[place[0]]) {
    if (shownFile !== null) list.innerHTML = `<li>No source: ${place ? escape(tour.files[place[0]].name) : "the kernel has no line numbers"}</li>`;
    shownFile = null;
    $("source-name").textContent = place ? `${tour.files[place[0]].name}:${place[1]}` : "Source";
    return;
  }
  if (shownFile !== place[0]) {
    const run = executed.get(place[0]);
    list.innerHTML = fileLines[place[0]].map((line, n) => `<li${run.has(n + 1) ? ' class="run"' : ""}><i>${n + 1}</i>${escape(line)}</li>`).join("");
    shownFile = place[0];
    firstLine = -SOURCE_LINES;
  }
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const line = list.children[place[1] - 1];
  if (line) line.setAttribute("aria-current", "true");
  $("source-name").textContent = `${tour.files[place[0]].name}:${place[1]}`;
}
// Scrolling needs a layout, so it comes after all other changes, and only where the line
// is near an edge or outside.
function scrollSource(place) {
  if (!place || shownFile === null) return;
  const line = place[1] - 1;
  if (line >= firstLine + 3 && line < firstLine + SOURCE_LINES - 3) return;
  firstLine = Math.max(0, line - 7);
  $("source").scrollTop = firstLine * lineHeight;
}
$("source").addEventListener("scroll", () => firstLine = Math.round($("source").scrollTop / lineHeight));
const byAddress = tour.code.map((_, n) => n).sort((a, b) => {
  const [x, y] = [number(tour.code[a][0]), number(tour.code[b][0])];
  return x < y ? -1 : x > y ? 1 : 0;
});
const rankOf = new Map(byAddress.map((code, rank) => [code, rank]));
function showCode(code) {
  const rank = rankOf.get(code);
  let rows = "";
  for (let at = Math.max(0, rank - 5); at < Math.min(byAddress.length, rank + 8); at++) {
    const [address, mode, bytes, text, place] = tour.code[byAddress[at]];
    rows += `<tr${at === rank ? ' aria-current="true"' : ""}><td>${address}</td><td class="b">${bytes.length > 20 ? bytes.slice(0, 18) + "…" : bytes}</td><td>${escape(text)}</td><td class="b">${place ? escape(tour.files[place[0]].name.replace(/.*\//, "")) + ":" + place[1] : ""}</td></tr>`;
  }
  $("code").innerHTML = rows;
}

const font = tour.font ? decode64(tour.font) : null;
const PALETTE = [0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
  0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff];
const cells = new Uint16Array(80 * 25).fill(0xffff);
const canvas = $("screen").getContext("2d");
const glyph = canvas.createImageData(9, 16);
function showScreen() {
  let text = "", changed = false;
  for (let row = 0; row < 25; row++) {
    for (let column = 0; column < 80; column++) {
      const at = row * 80 + column, code = byteAt(TEXT + at * 2), colours = byteAt(TEXT + at * 2 + 1);
      text += code >= 32 && code < 127 ? String.fromCharCode(code) : " ";
      if (cells[at] === (colours << 8 | code)) continue;
      changed = true;
      cells[at] = colours << 8 | code;
      const front = PALETTE[colours & 15], back = PALETTE[colours >> 4 & 7];
      for (let y = 0; y < 16; y++) {
        const line = font ? font[code * 16 + y] : 0;
        for (let x = 0; x < 9; x++) {
          const set = x < 8 ? line >> 7 - x & 1 : code >= 0xc0 && code < 0xe0 && line & 1;
          const colour = set ? front : back, p = (y * 9 + x) * 4;
          glyph.data[p] = colour >> 16; glyph.data[p + 1] = colour >> 8 & 255; glyph.data[p + 2] = colour & 255; glyph.data[p + 3] = 255;
        }
      }
      canvas.putImageData(glyph, column * 9, row * 16);
    }
    text += "\n";
  }
  if (changed) {
    text = text.split("\n").map(line => line.trimEnd()).join("\n").trimEnd();
    $("screen-text").textContent = text;
    $("screen").setAttribute("aria-label", "The screen: " + text.replace(/\n+/g, "; "));
  }
}

const serialAt = [""];
steps.forEach((step, n) => { serialAt[n + 1] = step.s ? serialAt[n] + step.s : serialAt[n]; });
function showSerial(n) {
  if ($("serial").textContent === serialAt[n]) return;
  $("serial").textContent = serialAt[n];
  $("serial").scrollTop = 1e6;
}

function rowsOf(ranges) {
  // The rows of 16 bytes that the ranges touch, at most twelve.
  const rows = new Set();
  for (const [address, length] of ranges)
    for (let row = Math.floor(address / 16); row <= Math.floor((address + length - 1) / 16) && rows.size < 12; row++) rows.add(row);
  return [...rows].sort((a, b) => a - b);
}
function dumpOf(ranges, marked, underlined) {
  return rowsOf(ranges).map(row => {
    let hex = "", text = "";
    for (let n = 0; n < 16; n++) {
      const address = row * 16 + n, value = byteAt(address);
      const inside = list => list.some(([from, length]) => address >= from && address < from + length);
      let shown = value < 0 ? "??" : value.toString(16).padStart(2, "0");
      if (inside(marked)) shown = `<span class="changed">${shown}</span>`;
      else if (inside(underlined)) shown = `<u>${shown}</u>`;
      hex += shown + (n === 7 ? "  " : " ");
      text += value >= 32 && value < 127 ? escape(String.fromCharCode(value)) : ".";
    }
    return `<i>${(row * 16).toString(16).padStart(8, "0")}</i>  ${hex} ${text}`;
  }).join("\n");
}
function showDump(n) {
  const step = steps[n], before = n > 0 ? steps[n - 1] : null;
  const written = before ? writes(before).map(({ address, bytes }) => [address, bytes.length]) : [];
  const next = [...(step.rd ?? []).map(([, physical, length]) => [Number(number(physical)), length]),
    ...writes(step).map(({ address, bytes }) => [address, bytes.length])];
  let html = "";
  if (written.length) {
    const total = written.reduce((sum, [, length]) => sum + length, 0);
    html += `<p>Written by the step before: ${total} bytes</p><div class="dump">${dumpOf(written, written, [])}</div>`;
  }
  if (next.length && !step.bios) {
    const words = [step.rd ? "reads" : "", step.w ? "writes" : ""].filter(Boolean).join(" and ");
    const different = (step.rd ?? step.wl ?? []).find(([linear, physical]) => linear !== physical);
    html += `<p>This step ${words} the underlined bytes${different ? `; linear address ${different[0]}` : ""}</p><div class="dump">${dumpOf(next, [], next)}</div>`;
  }
  $("dump").innerHTML = html || "<p>None.</p>";
}

/* What is above 1 MiB: runs of pages that have been written so far. */
function highRuns() {
  const runs = [];
  for (const n of [...pages.keys()].filter(n => n >= 256).sort((a, b) => a - b)) {
    const last = runs[runs.length - 1];
    if (last && last[1] === n) last[1]++; else runs.push([n, n + 1]);
  }
  return runs.map(([from, to]) => [from * PAGE, to * PAGE]);
}
let lowUsed = null;
function used(from, to) {
  for (let n = Math.floor(from / PAGE); n * PAGE < to; n++) {
    const found = pages.get(n);
    if (!found) continue;
    const start = Math.max(0, from - n * PAGE), end = Math.min(PAGE, to - n * PAGE);
    for (let at = start; at < end; at++) if (found.bytes[at] || found.unknown?.[at]) return true;
  }
  return false;
}
function physicalOf(state, address) {
  const found = walk(state, address);
  return found.physical === null ? null : Number(found.physical);
}
function linear(state, segment, offset, mode) {
  return mode === "long64" ? number(offset) : number(state[segment][1]) + (mode === "prot32" || mode === "compat32" ? number(offset) & 0xffffffffn : number(offset) & 0xffffn);
}
function showMap(n, state, mode) {
  const ip = physicalOf(state, number(codeOf(n)[0])), sp = physicalOf(state, linear(state, "ss", state.rsp, mode));
  const touched = n > 0 ? writes(steps[n - 1]).map(({ address, bytes }) => [address, address + bytes.length]) : [];
  const root = paging(state) ? Number(number(state.cr3) & ADDRESS) : -1;
  const rows = tour.low.map(([from, to, name]) => [parseInt(from, 16), parseInt(to, 16), name]);
  for (const [from, to] of highRuns()) {
    const name = root >= from && root < to ? "page tables, and more" : ip >= from && ip < to ? "kernel" : "above 1 MiB";
    rows.push([from, to, name]);
  }
  $("map").innerHTML = rows.map(([from, to, name]) => {
    const full = from >= 0xc0000 && from < 0x100000 || used(from, to);
    const touch = touched.some(([a, b]) => a < to && b > from);
    const tags = [[ip, "IP"], [sp, "SP"]].filter(([at]) => at !== null && at >= from && at < to).map(([, tag]) => `<span class="tag">${tag}</span>`).join("");
    return `<div class="region${touch ? " touch" : full ? " full" : ""}"><code>${from.toString(16)}–${(to - 1).toString(16)}</code><span>${name}</span><span>${tags}</span></div>`;
  }).join("");
}

const reads = [];
steps.forEach((step, n) => { if (step.bios?.sectors) reads.push([n, ...step.bios.sectors]); });
function showDisk(n) {
  const done = reads.filter(([at]) => at < n);
  // Reads that were folded lie between the reads around them. Those of stage 2 are not.
  const stage2 = tour.disk.find(([, , name]) => name === "stage 2");
  const loaderEnd = stage2[0] + stage2[1];
  const has = sector => done.some(([, first, count]) => sector >= first && sector < first + count)
    || done.length > 1 && steps.some((step, at) => at < n && step.fold && step.fold[2] > 0 && done[0][1] < sector && sector < done[done.length - 1][1] && reads.some(([r]) => r < at) && reads.some(([r]) => r > at && r < n) && sector >= loaderEnd);
  const parts = tour.disk.filter(([, count, name]) => count > 0 && name !== "unused");
  const cellsOf = ([first, count]) => {
    let html = "";
    const pieces = Math.min(count, 24);
    for (let piece = 0; piece < pieces; piece++) html += `<div style="flex:1" class="${has(first + Math.floor(piece * count / pieces)) || first === 0 ? "read" : ""}"></div>`;
    return html;
  };
  $("disk").innerHTML = `<div class="track" role="img" aria-label="${done.length} reads so far">${parts.map(cellsOf).join("")}</div><table>${
    parts.map(([first, count, name]) => `<tr><td>${first}–${first + count - 1}</td><td>${name}</td><td>${has(first) || first === 0 ? "read" : ""}</td></tr>`).join("")
  }</table><p>Reads so far: ${done.length ? done.map(([, first, count]) => `${count} from ${first}`).slice(-4).join(", ") : "sector 0, by the BIOS"}</p>`;
}

function showWalk() {
  const state = stateAt(now), text = $("walk-address").value.trim();
  let address;
  try { address = BigInt(/^0x/i.test(text) ? text : "0x" + text); } catch { $("walk").innerHTML = "<p>Not a hexadecimal number.</p>"; return; }
  const { rows, physical, writable, executable } = walk(state, address);
  let html = rows.length ? "<table><tr><th>level</th><th>index</th><th>entry at</th><th>entry</th><th>rights</th></tr>" + rows.map(row =>
    `<tr><td>${row.level}</td><td>${row.index}</td><td>${row.at.toString(16)}</td><td>${row.entry.toString(16)}</td><td>${rights(row.entry)}</td></tr>`).join("") + "</table>" : "<p>Paging is off: a linear address is a physical address.</p>";
  html += physical === null ? "<p><b>Not mapped.</b></p>"
    : `<p>Physical address <b>${physical.toString(16)}</b>: ${writable ? "writable" : "read-only"}, ${executable ? "executable" : "not executable"}. It holds ${[...Array(8).keys()].map(n => byteAt(Number(physical) + n)).map(b => b < 0 ? "??" : b.toString(16).padStart(2, "0")).join(" ")}</p>`;
  $("walk").innerHTML = html;
}
function showGdt(state, mode) {
  if (!$("gdt-panel").open) return;
  const base = number(state.gdtr[0]), limit = Number(number(state.gdtr[1]));
  if (!base) { $("gdt").innerHTML = "<p>None yet.</p>"; return; }
  let html = "";
  for (let offset = 0; offset + 7 <= limit; offset += 8) {
    const physical = physicalOf(state, base + BigInt(offset));
    if (physical === null) continue;
    const entry = quadAt(physical);
    html += `<li><code>${offset.toString(16).padStart(4, "0")}  ${entry.toString(16).padStart(16, "0")}</code> ${entry ? descriptor(entry >> 32n) : "null"}</li>`;
  }
  $("gdt").innerHTML = `<p>At ${base.toString(16)}, limit ${limit.toString(16)}</p><ul class="tree">${html}</ul>`;
}
function tree(table, level, base) {
  // Neighbours with the same rights that lead on become one line.
  const list = document.createElement("ul");
  list.className = "tree";
  const size = 1n << BigInt(39 - 9 * level);
  for (let index = 0; index < 512;) {
    const entry = quadAt(table + index * 8);
    if (!(entry & 1n)) { index++; continue; }
    const leaf = level === 3 || level > 0 && (entry & 128n) !== 0n;
    let end = index + 1;
    if (leaf) while (end < 512) {
      const next = quadAt(table + end * 8);
      if (next !== entry + BigInt(end - index) * size) break;
      end++;
    }
    let address = base + BigInt(index) * size;
    if (level === 0 && index >= 256) address |= 0xffff000000000000n;
    const last = address + BigInt(end - index) * size - 1n;
    const item = document.createElement("li");
    const label = `${LEVELS[level]}[${index}${end > index + 1 ? "–" + (end - 1) : ""}] ${address.toString(16)}–${last.toString(16)} → ${(entry & ADDRESS).toString(16)}: ${rights(entry)}`;
    if (leaf) item.textContent = label;
    else {
      const details = document.createElement("details"), summary = document.createElement("summary");
      summary.textContent = label;
      details.append(summary);
      details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(tree(Number(entry & ADDRESS), level + 1, address)); });
      item.append(details);
    }
    list.append(item);
    index = end;
  }
  return list;
}
let shownTables = "";
function showTables(state) {
  if (!$("tables-panel").open) return;
  const key = paging(state) ? state.cr3 + "@" + now : "";
  if (key === shownTables && key) return;
  shownTables = key;
  $("tables").replaceChildren(paging(state) ? tree(Number(number(state.cr3) & ADDRESS), 0, 0n) : "Paging is off.");
}

const chapterOf = n => { let found = 0; tour.chapters.forEach(([at], c) => { if (at <= n) found = c; }); return found; };
const checkpointAt = n => tour.checkpoints.find(checkpoint => checkpoint.step === n);
function lastCheckpoint(n) { let found = null; for (const checkpoint of tour.checkpoints) if (checkpoint.step <= n) found = checkpoint; return found; }
function showCheckpoint(n) {
  const found = checkpointAt(n), box = $("checkpoint");
  box.hidden = !found;
  if (!found) { box.innerHTML = ""; return; }
  box.innerHTML = `<h3>${escape(found.title)}</h3><p>${escape(found.text)}</p><p><b>${escape(found.question)}</b></p><details><summary>Answer</summary><p>${escape(found.answer)}</p></details>`;
}
function showBios(n) {
  const box = $("bios"), step = steps[n], before = n > 0 ? steps[n - 1] : null;
  let html = "";
  if (before?.bios) html += `<p>The BIOS answered INT ${before.bios.int.toString(16)}h: <b>${escape(before.bios.answered)}</b>, after ${before.fw?.toLocaleString("en") ?? "?"} instructions of its own.</p>`;
  if (step.bios) html += `<p>Calls the BIOS, INT ${step.bios.int.toString(16)}h: <b>${escape(step.bios.asked)}</b></p>`;
  if (step.fold) html += `<p>Folded: <b>${step.fold[0].toLocaleString("en")} iterations</b>, ${step.k.toLocaleString("en")} instructions${step.fold[2] ? `, ${step.fold[2]} BIOS calls with ${step.fw.toLocaleString("en")} instructions of the firmware` : ""}.</p>`;
  box.hidden = !html;
  box.innerHTML = html;
}

function show(n, keepHash) {
  n = Math.max(0, Math.min(steps.length - 1, n));
  now = n;
  toStep(n);
  const step = steps[n], [address, mode, , text, place, name] = codeOf(n);
  const state = stateAt(n), before = n > 0 ? stateAt(n - 1) : null;
  const [bits, words, kind] = MODES[mode] ?? [mode, "", ""];
  if ($("mode-bits").textContent !== bits) $("mode-bits").textContent = bits;
  if ($("mode-name").textContent !== words) $("mode-name").textContent = words;
  $("mode").className = kind;
  const chapter = chapterOf(n);
  const title = tour.chapters[chapter][1], routine = name.replace(/\+0x.*/, "");
  $("chapter").textContent = routine && routine !== title ? `${title}: ${routine}` : title;
  $("position").textContent = `step ${n + 1} of ${steps.length}, instruction ${step.n.toLocaleString("en")}, at ${address}: ${text}`;
  $("range").value = n;
  document.querySelectorAll("#chapters button").forEach((button, c) => {
    if (c === chapter) { if (!button.hasAttribute("aria-current")) { button.setAttribute("aria-current", "true"); $("chapters").scrollLeft = button.offsetLeft - $("chapters").offsetLeft - 100; } }
    else button.removeAttribute("aria-current");
  });
  showRegisters(state, before, mode);
  showSource(place);
  showCode(step.c);
  showScreen();
  showSerial(n);
  showDump(n);
  showMap(n, state, mode);
  showDisk(n);
  showWalk();
  showGdt(state, mode);
  showTables(state);
  showCheckpoint(n);
  showBios(n);
  scrollSource(place);
  clearTimeout(hashTimer);
  if (!keepHash) hashTimer = setTimeout(setHash, 200);  // browsers limit how often
}
let hashTimer = 0;
function setHash() {
  const found = lastCheckpoint(now);
  const hash = found ? `#${found.name}${now > found.step ? "+" + (now - found.step) : ""}` : `#${now}`;
  history.replaceState(null, "", hash);
}

/* ---- Moving ------------------------------------------------------------------- */

function over(n) {
  // Over a call: to the first later step at the address after it. Over a loop: to the
  // first step outside of it.
  const [address, , bytes, text] = codeOf(n);
  if (/^l?call/.test(text)) {
    const after = number(address) + BigInt(bytes.length / 2);
    for (let at = n + 1; at < steps.length; at++) if (number(codeOf(at)[0]) === after) return at;
  }
  const fold = steps.findIndex((step, at) => at >= n && at <= n + 300 && step.fold);
  if (fold >= 0) {
    const length = steps[fold].fold[1], body = new Set();
    for (let at = fold + 1; at <= fold + length; at++) body.add(steps[at].c);
    if (fold - n <= length && body.has(steps[n].c)) {
      for (let at = fold + 1; at < steps.length; at++) if (!body.has(steps[at].c)) return at;
    }
  }
  return n + 1;
}
function stage(direction) {
  const marks = [...new Set([...tour.chapters.map(([at]) => at), ...tour.checkpoints.map(({ step }) => step)])].sort((a, b) => a - b);
  if (direction > 0) return marks.find(at => at > now) ?? steps.length - 1;
  return marks.filter(at => at < now).pop() ?? 0;
}
let timer = 0;
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => { if (now >= steps.length - 1) play(false); else { show(now + 1); if (checkpointAt(now)) play(false); } }, 60) : 0;
  $("b-play").textContent = on ? "pause" : "play";
  $("b-play").setAttribute("aria-pressed", String(on));
}
const actions = {
  "b-first": () => show(0), "b-last": () => show(steps.length - 1),
  "b-back": () => show(now - 1), "b-step": () => show(now + 1), "b-over": () => show(over(now)),
  "b-stage": () => show(stage(1)), "b-back-stage": () => show(stage(-1)), "b-play": () => play(!timer),
};
for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
$("range").max = steps.length - 1;
$("range").addEventListener("input", event => show(Number(event.target.value)));
tour.chapters.forEach(([at, name]) => {
  const button = document.createElement("button");
  button.textContent = name;
  button.addEventListener("click", () => show(at));
  $("chapters").append(button);
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.tagName === "INPUT" && event.target.type !== "range";
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  const key = (event.shiftKey && event.key.length > 1 ? "Shift+" : "") + event.key;
  const action = {
    ArrowRight: "b-step", ArrowLeft: "b-back", ArrowDown: "b-over", "Shift+ArrowRight": "b-stage", "Shift+ArrowLeft": "b-back-stage",
    Home: "b-first", End: "b-last",
  }[key];
  if (key === "ArrowDown" && event.target.id === "source") return;
  if (action) { event.preventDefault(); actions[action](); }
  else if (key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") { event.preventDefault(); actions["b-play"](); }
  else if (key === "/") { event.preventDefault(); $("query").focus(); }
  else if (key === "n") hit(1);
  else if (key === "N") hit(-1);
});

/* ---- Search ------------------------------------------------------------------- */

function matcher(query) {
  let match;
  if ((match = /^([\w.\/]+):(\d+)$/.exec(query))) {
    const line = Number(match[2]);
    return n => { const place = codeOf(n)[4]; return place && place[1] === line && tour.files[place[0]].name.endsWith(match[1]); };
  }
  const name = query.toLowerCase();
  if (steps[0].r[name] !== undefined) return n => n > 0 && steps[n].r !== undefined && steps[n].r[name] !== undefined;
  if (/^0x[0-9a-f]+$/i.test(query)) {
    // Who wrote this byte? Or which instruction is there?
    const address = parseInt(query, 16);
    return n => parseInt(codeOf(n)[0], 16) === address || (n > 0 && (steps[n - 1].w ?? []).some(([from, what]) => {
      const start = parseInt(from, 16);
      return address >= start && address < start + (typeof what === "string" ? what.length / 2 : what);
    }));
  }
  return n => {
    const [, , , text, place, name] = codeOf(n);
    return text.includes(query) || name.includes(query) || (place && fileLines[place[0]] && (fileLines[place[0]][place[1] - 1] ?? "").includes(query)) || steps[n].bios?.asked.includes(query);
  };
}
function hit(direction) {
  const query = $("query").value.trim();
  if (!query) return;
  const matches = matcher(query);
  for (let n = now + direction; n >= 0 && n < steps.length; n += direction) {
    if (matches(n)) { show(n); $("hits").textContent = "found"; return; }
  }
  $("hits").textContent = direction > 0 ? "no more after this" : "none before this";
}
$("search").addEventListener("submit", event => { event.preventDefault(); hit(1); });
$("b-prev-hit").addEventListener("click", () => hit(-1));
$("walk-form").addEventListener("submit", event => { event.preventDefault(); showWalk(); });
$("gdt-panel").addEventListener("toggle", () => show(now, true));
$("tables-panel").addEventListener("toggle", () => show(now, true));

/* ---- The start ------------------------------------------------------------------ */

function fromHash() {
  const match = /^#([\w-]+?)(?:\+(\d+))?$/.exec(decodeURIComponent(location.hash));
  if (!match) return show(0, !location.hash);
  const found = tour.checkpoints.find(({ name }) => name === match[1]);
  show((found ? found.step : Number(match[1]) || 0) + Number(match[2] ?? 0), true);
}
addEventListener("hashchange", fromHash);
$("about").textContent = `Recorded from the image with SHA-256 ${tour.image.sha256} (kernel ${tour.image.kernel}${tour.bios ? `, with the BIOS setting ${tour.bios}` : ""}) in ${tour.emulator}. ${tour.counts.loader.toLocaleString("en")} instructions of the loader, ${tour.counts.kernel.toLocaleString("en")} of the kernel, ${tour.counts.firmware.toLocaleString("en")} of the firmware between them. The end: ${tour.end}.`;
fromHash();
