// The picture, put together from pieces: what is folded is a box, what is unfolded a frame.
// The data is written by viz/picturedata.py. boxes: [key, label, detail, code, title, kind, group,
// line, ranges of values]; words are numbers of texts. layouts: [width, height, boxes as x y w h,
// wires as x y, badges, inputs, outputs]. after, before: pieces [layout, boxes, wires, inputs,
// outputs], the whole first; folds [box, piece]; flat, the whole with [title, label, group, x y w h]
// of each frame, or null. A wire: [tail, head, value, title, code, width, kind], its ends boxes,
// or ports where below zero.

const KINDS = ["op", "input", "output", "opaque", "scalar", "group", "fold", "repeat", "tag"];
const WIRES = ["", " fk-seam", " fk-memory"];
// px between a frame and what it holds: above, and elsewhere
const [HEAD, PAD] = [32, 14];
// px that wires get above and below a frame
const ROOM = 26;
const STEPS = 6;

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

// A map along y that makes room for spans [from, to, extra] and keeps the order of all else.
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
  return (y) => {
    const [at, before, rate] = table.findLast((entry) => entry[0] <= y) ?? [y, 0, 0];
    return y + before + (y - at) * rate;
  };
}

// Points along a Bezier curve.
const sampled = (p) => Array.from({ length: (p.length - 1) / 3 * STEPS + 1 }, (_, k) => {
  const from = 3 * Math.min(Math.floor(k / STEPS), (p.length - 4) / 3);
  const t = k / STEPS - from / 3;
  const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
  return [0, 1].map((i) => weights.reduce((sum, w, j) => sum + w * p[from + j][i], 0));
});

const curve = (p) => `M${rounded(p[0])}` + p.slice(1).map((point, i) => `${i % 3 ? " " : "C"}${rounded(point)}`).join("");

// A smooth curve through points: at each one it goes the way from the one before to the one after,
// for a third of the shorter of both ways.
const smooth = (p) => `M${rounded(p[0])}` + p.slice(1).map((to, i) => {
  const along = (at, before, after, sign) => {
    const [dx, dy] = minus(after, before);
    const by = sign * Math.min(Math.hypot(...minus(at, before)), Math.hypot(...minus(after, at))) / 3;
    const length = Math.hypot(dx, dy) || 1;
    return rounded(plus(at, [dx * by / length, dy * by / length]));
  };
  const [before, from, after] = [p[i - 1] ?? p[i], p[i], p[i + 2] ?? to];
  if (Math.abs(to[0] - from[0]) < 4) return `L${rounded(to)}`;
  return `C${along(from, before, to, 1)} ${along(to, from, after, -1)} ${rounded(to)}`;
}).join("");

const rounded = (point) => point.map((n) => Math.round(n * 10) / 10);

// How a piece makes room: each grown box pushes what is beside it, and only that, to its side.
function roomFor(grown) {
  const my = stretch(grown.map(({ y, h, inner }) => [y, y + h, Math.max(0, inner.h + 2 * ROOM - h)]));
  const pushes = grown.map((box) => ({ box, middle: box.x + box.w / 2, from: box.y, to: box.y + box.h,
    half: Math.max(0, box.inner.w + 2 * PAD - box.w) / 2 }));
  const mx = (x, y, ...own) => pushes.reduce((sum, { box, middle, from, to, half }) =>
    (y > from && y < to && !own.includes(box) ? sum + Math.sign(x - middle) * half : sum), x);
  // The way of a wire, bent around what has grown: above it and below it, where there is room.
  const way = (points, ...own) => {
    const found = [];
    points.forEach((point, i) => {
      const [x, y] = point;
      const [x0, y0] = points[i - 1] ?? point;
      const crossed = pushes.filter(({ box }) => !own.includes(box))
        .flatMap(({ from, to }) => [[from, 1], [to, -1]]).filter(([at]) => (y0 - at) * (y - at) < 0)
        .sort(([a], [b]) => (a - b) * (y - y0));
      for (const [at, inside] of crossed) {
        const x1 = x0 + (x - x0) * (at - y0) / (y - y0);
        const outer = [mx(x1, at - inside / 8, ...own), my(at)];
        const inner = [mx(x1, at + inside / 8, ...own), my(at) + inside * ROOM * 0.8];
        found.push(...(inside * (y - y0) > 0 ? [outer, inner] : [inner, outer]));
      }
      found.push([mx(x, y, ...own), my(y)]);
    });
    return found;
  };
  // Where a box that stands beside what has grown can be left: its column, above or below that.
  const leave = (box, side) => {
    const middle = box.y + box.h / 2;
    const rows = pushes.filter((push) => push.box !== box && middle > push.from && middle < push.to);
    const ends = rows.map(({ from, to }) => (side > 0 ? my(to) : my(from)) - side * ROOM * 0.8);
    return ends.length ? [mx(box.x + box.w / 2, middle, box), side > 0 ? Math.max(...ends) : Math.min(...ends)] : null;
  };
  return { mx, my, way, leave };
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
  const { mx, my, way, leave } = roomFor(grown);
  const placed = boxes.map((box) => {
    const { x, y, w, h, inner } = box;
    const middle = [mx(x + w / 2, y + h / 2, box), (my(y) + my(y + h)) / 2];
    const [wide, high] = inner ? [inner.w, inner.h] : [w, h];
    return { ...box, x: middle[0] - wide / 2, y: middle[1] - high / 2, w: wide, h: high,
      shift: minus(middle, [x + w / 2, y + h / 2]) };
  });
  const bottom = my(height);
  const drawn = wires.map(([tail, head, value, ...said], i) => {
    const raw = pairs(lines[i]);
    const names = [tail, head].map((end) => (boxes[end] ? data.boxes[boxes[end].id][0] : "border"));
    const [tip, base] = [raw.pop(), raw.at(-1)];
    const [from, to] = [placed[tail], placed[head]];
    const arrow = Boolean(to && !to.inner);
    const same = { bezier: raw, points: [raw[0], base], tip, base, arrow, at: badges[i], value, names, said };
    if (!grown.length && from && to) return same;
    const line = sampled(raw);
    const points = way(line, boxes[tail], boxes[head]);
    const at = badges[i] && beside(badges[i], raw.length > 4 ? line : [raw[0], base], points);
    if (!from) points[0] = [points[0][0], -HEAD];
    else if (from.inner) points.unshift([from.x + (from.inner.outs.get(value) ?? from.w / 2), from.y + from.h]);
    else {
      const exit = leave(boxes[tail], 1);
      while (exit && points.length > 1 && points[0][1] < exit[1]) points.shift();
      points.unshift(...[plus(raw[0], from.shift), exit].filter(Boolean));
    }
    if (!to) points.push([points.at(-1)[0], bottom + PAD]);
    else if (to.inner) points.push([to.x + (to.inner.ins.get(value) ?? to.w / 2), to.y]);
    else {
      const entry = leave(boxes[head], -1);
      while (entry && points.length > 2 && points.at(-1)[1] > entry[1]) points.pop();
      points.push(...[entry, plus(base, to.shift)].filter(Boolean));
    }
    return { ...same, points, at, bezier: null, tip: arrow ? plus(tip, to.shift) : null, base: points.at(-1) };
  });
  const across = [[0, width], ...placed.map(({ x, w }) => [x, x + w]), ...drawn.map(({ points }) => points.map(([x]) => x))];
  const low = Math.min(...across.map((each) => Math.min(...each)));
  const size = { w: Math.max(...across.map((each) => Math.max(...each))) - low, h: bottom };
  const w = Math.max(size.w + 2 * PAD, caption.length * 7 + 40);
  const indent = (w - size.w) / 2 - low;
  const border = (values, at, y) => new Map(values.map((value, i) => [value, mx(at[i], y) + indent]));
  return { boxes: placed, wires: drawn, w, h: size.h + HEAD + PAD, size, indent, low,
    ins: border(ins, inAt, 0), outs: border(outs, outAt, height) };
}

// A badge stays beside the part of its wire that it was beside.
function beside(badge, before, after) {
  const near = (points, to) => points.reduce((best, point) =>
    (Math.hypot(...minus(point, to)) < Math.hypot(...minus(best, to)) ? point : best));
  const was = near(before, badge);
  const part = before.indexOf(was) / Math.max(1, before.length - 1);
  return plus(after[Math.round(part * (after.length - 1))], minus(badge, was));
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
    this.piece(all, -all.low, 0);
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
      this.wire({ bezier: points, base: points.at(-1), tip, arrow: true, at: badges[i], value, names, said }, [0, 0]);
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
    const inner = path ? toggle(path, true, label, [x, y, Math.min(w, label.length * 7 + 38), 28], head) : head;
    this.heads.push(`<g class="${group < 0 ? "" : `fk-c${group % 7}`}">${inner}<\/g>`);
  }

  box(id, [x, y, w, h], path) {
    const [key, label, detail, code, title, number, group, line, ...ranges] = this.data.boxes[id];
    const kind = KINDS[number];
    const values = pairs(ranges).flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
    const radius = ["input", "output", "scalar", "tag"].includes(kind) ? h / 2 : 8;
    const links = (line < 0 ? "" : ` data-l="${line}"`) + (group < 0 ? "" : ` data-g="${group}"`);
    const cards = [3, 6].map((d) => `M${x + d + 6},${y + h + d}H${x + w + d - 8}q8,0 8,-8V${y + d + 6}`).join("");
    const lines = (at, cls, word) => `<text class="${cls}" x="${x + w / 2}" y="${y + at}">${word}<\/text>`;
    const said = kind === "tag" ? lines(15, "fk-small", this.text(label))
      : kind === "scalar" ? lines(17, "fk-small", `${this.text(label)}: ${this.text(detail)}`)
      : (path ? toggle(path, false, this.text(label), [x, y, w, 26], lines(19, "fk-label", `▸ ${this.text(label)}`))
        : lines(19, "fk-label", this.text(label))) + lines(34, "fk-small", this.text(detail))
        + (this.text(code) && lines(49, "fk-code-id", this.text(code)));
    this.nodes.push(`<g class="fk-node fk-k-${kind}${group < 0 ? "" : ` fk-c${group % 7}`}" data-n="${key}" data-v="${values.join(" ")}"${links}>`
      + `<title>${this.text(title)}<\/title>${kind === "repeat" ? `<path class="fk-cards" d="${cards}"/>` : ""}${rect(x, y, w, h, radius)}`
      + `${kind === "output" || kind === "group" ? rect(x + 3, y + 3, w - 6, h - 6, radius - 3, "fk-inner") : ""}${said}<\/g>`);
  }

  wire({ bezier, points, arrow, at, value, names, said: [title, code, width, kind], ...ends }, by) {
    const shift = (point) => plus(point, by);
    const line = bezier ? curve(bezier.map(shift)) : smooth(points.map(shift));
    const [tip, base] = [ends.tip ?? ends.base, ends.base].map((point) => rounded(plus(point, by)));
    const [dx, dy] = minus(tip, base);
    const half = (3.2 + width / 2) / (Math.hypot(dx, dy) || 1);
    const corners = [tip, [base[0] - dy * half, base[1] + dx * half], [base[0] + dy * half, base[1] - dx * half]];
    this.wires.push(`<g class="fk-edge${WIRES[kind]}" data-v="${value}" data-e="${names.join(" ")}"><title>${this.text(title)}<\/title>`
      + `<path d="${line}" stroke-width="${width}"/>${arrow ? `<polygon points="${corners.join(" ")}"/>` : ""}<\/g>`);
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
