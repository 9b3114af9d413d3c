// The picture, put together from pieces: what is folded is a box, what is unfolded a frame.
// The data is written by viz/picturedata.py. boxes: [key, label, detail, code, title, kind, group,
// line, ranges of values]; words are numbers of texts. layouts: [width, height, boxes as x y w h,
// wires as x y, badges, inputs, outputs]. after, before: pieces [layout, boxes, wires, inputs,
// outputs], the whole first; folds [box, piece]; flat, the whole with [title, label, group, x y w h]
// of each frame, or null. A wire: [tail, head, value, title, code, width, kind], its ends boxes,
// or ports where below zero.

const KINDS = ["op", "input", "output", "opaque", "scalar", "group", "fold", "repeat"];
const WIRES = ["", " fk-seam", " fk-memory"];
// px between a frame and what it holds: above, and elsewhere
const [HEAD, PAD] = [32, 14];
// px that wires get above and below a frame
const ROOM = 26;

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
const plus = ([x, y], [dx, dy]) => [x + dx, y + dy];
const minus = ([x, y], [dx, dy]) => [x - dx, y - dy];

// Names for folds that hold in both pictures: the labels on the way down.
function prepared(data, state) {
  const pieceOf = new Map(state.folds);
  const paths = new Map();
  const walk = (number, above) => {
    const seen = {};
    for (const id of state.pieces[number][1].filter((box) => pieceOf.has(box))) {
      const label = data.texts[data.boxes[id][1]];
      seen[label] = (seen[label] ?? 0) + 1;
      paths.set(id, `${above}/${label}#${seen[label]}`);
      walk(pieceOf.get(id), paths.get(id));
    }
  };
  walk(0, "");
  return { ...state, pieceOf, paths };
}

// A map along an axis that makes room for spans [from, to, extra] and keeps the order of all else.
function stretch(spans) {
  const cuts = [...new Set(spans.flatMap(([from, to]) => [from, to]))].sort((a, b) => a - b);
  let sum = 0;
  const table = cuts.map((at, i) => {
    const [next, before] = [cuts[i + 1] ?? at, sum];
    const rates = spans.filter(([from, to]) => from <= at && to >= next && next > at)
      .map(([from, to, extra]) => extra / (to - from));
    const rate = Math.max(0, ...rates);
    sum += (next - at) * rate;
    return [at, before, rate];
  });
  return (x) => {
    const [at, before, rate] = table.findLast((entry) => entry[0] <= x) ?? [x, 0, 0];
    return x + before + (x - at) * rate;
  };
}

// Points along a curve, as many for the same number of control points.
const onCurve = (p) => Array.from({ length: Math.floor((p.length - 1) / 3) * 4 + 1 }, (_, k) => {
  const [from, t] = [3 * Math.min(k >> 2, Math.floor((p.length - 1) / 3) - 1), k >> 2 === Math.floor((p.length - 1) / 3) ? 1 : (k & 3) / 4];
  const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
  return [0, 1].map((i) => a * p[from][i] + b * p[from + 1][i] + c * p[from + 2][i] + d * p[from + 3][i]);
});

// A badge stays beside the part of its wire that it was beside.
function beside(badge, before, after) {
  const far = before.map((point) => Math.hypot(...minus(point, badge)));
  const k = far.indexOf(Math.min(...far));
  return plus(after[k], minus(badge, before[k]));
}

// A piece with what is open in it: its size, and where everything is.
function compose(data, state, open, number, caption) {
  const [layout, ids, wires, ins, outs] = state.pieces[number];
  const [width, height, rects, lines, badges, inAt, outAt] = data.layouts[layout];
  const boxes = ids.map((id, i) => {
    const [x, y, w, h] = rects.slice(4 * i, 4 * i + 4);
    const path = state.paths.get(id);
    const inner = path && open.has(path)
      ? compose(data, state, open, state.pieceOf.get(id), captionOf(data, id)) : null;
    return { id, x, y, w, h, path, inner };
  });
  const grown = boxes.filter((box) => box.inner);
  const mx = stretch(grown.map(({ x, w, inner }) => [x, x + w, Math.max(0, inner.w - w)]));
  const my = stretch(grown.map(({ y, h, inner }) => [y, y + h, Math.max(0, inner.h + 2 * ROOM - h)]));
  for (const box of boxes) {
    const { x, y, w, h, inner } = box;
    const middle = [(mx(x) + mx(x + w)) / 2, (my(y) + my(y + h)) / 2];
    box.shift = minus(middle, [x + w / 2, y + h / 2]);
    [box.w, box.h] = inner ? [inner.w, inner.h] : [w, h];
    [box.x, box.y] = minus(middle, [box.w / 2, box.h / 2]);
  }
  const size = { w: mx(width), h: my(height) };
  const move = ([x, y]) => [mx(x), my(y)];
  const drawn = wires.map(([tail, head, value, ...said], i) => {
    const raw = pairs(lines[i]);
    const points = raw.map(move);
    const last = points.length - 1;
    const [from, to] = [boxes[tail], boxes[head]];
    const start = !from ? [points[0][0], -HEAD]
      : from.inner ? [from.x + PAD + (from.inner.outs.get(value) ?? from.w / 2), from.y + from.h]
        : plus(raw[0], from.shift);
    const tip = !to ? [points[last][0], size.h + PAD]
      : to.inner ? [to.x + PAD + (to.inner.ins.get(value) ?? to.w / 2), to.y]
        : plus(raw[last], to.shift);
    // An end at a frame bends there; elsewhere a straight piece leads to where the row begins, so
    // that no wire crosses what stands beside its box.
    const legs = [[], []];
    const arrow = to && !to.inner;
    const ends = arrow ? [tip, plus(tip, minus(raw[last - 1], raw[last]))] : [tip, tip];
    const bend = (side, box, end, at, next) => {
      const isTall = Math.abs(box.shift[1] - (move(raw[at])[1] - raw[at][1])) > 1;
      if (isTall) legs[side] = [end];
      points[at] = [end[0], isTall ? points[at][1] : end[1]];
      points[next] = plus(points[at], minus(raw[next], raw[at]));
    };
    if (from && !from.inner) bend(0, from, start, 0, 1);
    else [points[0], points[1]] = [start, plus(start, [0, ROOM])];
    if (arrow) bend(1, to, ends[1], last - 1, last - 2);
    else [points[last - 1], points[last - 2]] = [tip, minus(tip, [0, ROOM])];
    points.pop();
    const at = badges[i] && beside(badges[i], onCurve(raw), onCurve(points));
    const names = [tail, head].map((end) => (boxes[end] ? data.boxes[boxes[end].id][0] : "border"));
    return { points, legs, base: ends[1], tip: ends[0], arrow, at, value, names, said };
  });
  const border = (values, at) => new Map(values.map((value, i) => [value, mx(at[i])]));
  const w = Math.max(size.w + 2 * PAD, caption.length * 7 + 40);
  const indent = (w - size.w) / 2;
  const shifted = (map) => new Map([...map].map(([value, x]) => [value, x + indent - PAD]));
  return { boxes, wires: drawn, w, h: size.h + HEAD + PAD, size, indent,
    ins: shifted(border(ins, inAt)), outs: shifted(border(outs, outAt)) };
}

const captionOf = (data, id) => data.boxes[id].slice(1, 3).map((n) => data.texts[n]).filter(Boolean).join(" · ");

// All of a picture as SVG, layer by layer: frames, wires, boxes, badges.
class Paint {
  constructor(data, state, open) {
    Object.assign(this, { data, state, open, frames: [], wires: [], heads: [], nodes: [], badges: [] });
  }

  text(number) { return escaped(this.data.texts[number]); }

  // One picture, and its width and height.
  whole() {
    const { data, state, open } = this;
    if (state.flat && [...state.paths.values()].every((path) => open.has(path))) return this.flat();
    const all = compose(data, state, open, 0, "");
    this.piece(all, 0, 0);
    return [all.size.w, all.size.h];
  }

  flat() {
    const [layout, ids, wires, frames] = this.state.flat;
    const [width, height, rects, lines, badges] = this.data.layouts[layout];
    ids.forEach((id, i) => this.box(id, rects.slice(4 * i, 4 * i + 4)));
    const byGroup = new Map([...this.state.paths].map(([id, path]) => [this.data.boxes[id][6], path]));
    frames.forEach(([title, label, group, ...at]) =>
      this.frame(this.text(title), this.text(label), group, at, byGroup.get(group)));
    wires.forEach(([tail, head, value, ...said], i) => {
      const names = [tail, head].map((end) => this.data.boxes[ids[end]][0]);
      const points = pairs(lines[i]);
      const tip = points.pop();
      this.wire({ points, legs: [[], []], base: points.at(-1), tip, arrow: true, at: badges[i], value, names, said }, [0, 0]);
    });
    return [width, height];
  }

  piece({ boxes, wires }, x, y) {
    wires.forEach((wire) => this.wire(wire, [x, y]));
    for (const box of boxes) {
      const at = [x + box.x, y + box.y, box.w, box.h];
      if (!box.inner) { this.box(box.id, at, box.path); continue; }
      const [, , , , title, , group] = this.data.boxes[box.id];
      this.frame(this.text(title), escaped(captionOf(this.data, box.id)), group, at, box.path);
      this.piece(box.inner, at[0] + box.inner.indent, at[1] + HEAD);
    }
  }

  frame(title, label, group, [x, y, w, h], path) {
    const [cls, link] = group < 0 ? ["fk-frame", ""] : [`fk-cluster fk-c${group % 7}`, ` data-g="${group}"`];
    this.frames.push(`<g class="${cls}"${link}><title>${title}<\/title>${rect(x, y, w, h, 12)}<\/g>`);
    const head = `<text class="fk-head" x="${x + 14}" y="${y + 21}">${path ? "▾ " : ""}${label}<\/text>`;
    const inner = path ? toggle(path, true, label, [x + 4, y + 4, Math.min(w - 8, label.length * 7 + 34), 24], head) : head;
    this.heads.push(`<g class="${group < 0 ? "" : `fk-c${group % 7}`}">${inner}<\/g>`);
  }

  box(id, [x, y, w, h], path) {
    const [key, label, detail, code, title, number, group, line, ...ranges] = this.data.boxes[id];
    const kind = KINDS[number];
    const values = pairs(ranges).flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
    const radius = ["input", "output", "scalar"].includes(kind) ? h / 2 : 8;
    const links = (line < 0 ? "" : ` data-l="${line}"`) + (group < 0 ? "" : ` data-g="${group}"`);
    const cards = [3, 6].map((d) => `M${x + d + 6},${y + h + d}H${x + w + d - 8}q8,0 8,-8V${y + d + 6}`).join("");
    const lines = (at, cls, word) => `<text class="${cls}" x="${x + w / 2}" y="${y + at}">${word}<\/text>`;
    const said = kind === "scalar" ? lines(17, "fk-small", `${this.text(label)}: ${this.text(detail)}`)
      : (path ? toggle(path, false, this.text(label), [x, y, w, 26], lines(19, "fk-label", `▸ ${this.text(label)}`))
        : lines(19, "fk-label", this.text(label))) + lines(34, "fk-small", this.text(detail))
        + (this.text(code) && lines(49, "fk-code-id", this.text(code)));
    this.nodes.push(`<g class="fk-node fk-k-${kind}${group < 0 ? "" : ` fk-c${group % 7}`}" data-n="${key}" data-v="${values.join(" ")}"${links}>`
      + `<title>${this.text(title)}<\/title>${kind === "repeat" ? `<path class="fk-cards" d="${cards}"/>` : ""}${rect(x, y, w, h, radius)}`
      + `${kind === "output" || kind === "group" ? rect(x + 3, y + 3, w - 6, h - 6, radius - 3, "fk-inner") : ""}${said}<\/g>`);
  }

  wire(wire, by) {
    const { legs, arrow, at, value, names, said: [title, code, width, kind] } = wire;
    const place = (point) => plus(point, by).map((n) => Math.round(n * 10) / 10);
    const [p, tip, base] = [wire.points.map(place), place(wire.tip), place(wire.base)];
    const [lead, trail] = legs.map((leg) => leg.map(place));
    let path = lead.length ? `M${lead[0]}L${p[0]}` : `M${p[0]}`;
    for (let i = 1; i < p.length; i += 3) path += `C${p[i]} ${p[i + 1]} ${p[i + 2]}`;
    if (trail.length) path += `L${trail[0]}`;
    const [dx, dy] = minus(tip, base);
    const half = (3.2 + width / 2) / (Math.hypot(dx, dy) || 1);
    const corners = [tip, [base[0] - dy * half, base[1] + dx * half], [base[0] + dy * half, base[1] - dx * half]];
    this.wires.push(`<g class="fk-edge${WIRES[kind]}" data-v="${value}" data-e="${names.join(" ")}"><title>${this.text(title)}<\/title>`
      + `<path d="${path}" stroke-width="${width}"/>${arrow ? `<polygon points="${corners.join(" ")}"/>` : ""}<\/g>`);
    const word = this.data.texts[code];
    if (!word || !at) return;
    const [[x, y], wide] = [plus(at, by), word.length * 7.2 + 14];
    this.badges.push(`<g class="fk-badge" data-v="${value}"><title>${this.text(title)}<\/title>`
      + `${rect(x - wide / 2, y - 9, wide, 18, 9)}<text class="fk-code-id" x="${x}" y="${y + 4}">${escaped(word)}<\/text><\/g>`);
  }

  markup() { return [this.frames, this.wires, this.heads, this.nodes, this.badges].flat().join(""); }
}

function rect(x, y, w, h, radius, cls = "") {
  return `<rect${cls && ` class="${cls}"`} x="${x}" y="${y}" width="${w}" height="${h}" rx="${radius}"/>`;
}

function toggle(path, isOpen, label, [x, y, w, h], inside) {
  const what = `${isOpen ? "Fold" : "Unfold"} ${label}`;
  return `<g class="fk-fold" role="button" tabindex="0" aria-expanded="${isOpen}" aria-label="${what}" data-f="${escaped(path)}">`
    + `<title>${what}<\/title>${rect(x, y, w, h, 8, "fk-hit")}${inside}<\/g>`;
}
