// What differs between two texts: lines, and words in lines that stand for each other.

const CONTEXT = 3; // equal lines shown around a change
const ALIKE = 0.5; // from this part on that agrees, two lines are one that changed

// Pairs of indices of the longest common subsequence; equal ends are set aside first.
function common(a, b) {
  const least = Math.min(a.length, b.length);
  let [head, tail] = [0, 0];
  while (head < least && a[head] === b[head]) head += 1;
  while (tail < least - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  const width = m + 1;
  const best = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      best[at] = a[head + i] === b[head + j] ? best[at + width + 1] + 1 : Math.max(best[at + width], best[at + 1]);
    }
  }
  const pairs = Array.from({ length: head }, (_, i) => [i, i]);
  for (let [i, j] = [0, 0]; i < n && j < m;) {
    if (a[head + i] === b[head + j]) { pairs.push([head + i, head + j]); i += 1; j += 1; }
    else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i += 1;
    else j += 1;
  }
  for (let k = tail; k > 0; k -= 1) pairs.push([a.length - k, b.length - k]);
  return pairs;
}

// Runs of lines: { same: [[i, j], ...] } and { old: [i, ...], new: [j, ...] } in turn.
function runs(a, b) {
  const found = [];
  let [i, j] = [0, 0];
  for (const [x, y] of [...common(a, b), [a.length, b.length]]) {
    if (i < x || j < y) {
      const count = (from, to) => Array.from({ length: to - from }, (_, k) => from + k);
      found.push({ old: count(i, x), new: count(j, y) });
    }
    if (x === a.length) break;
    if (!found.at(-1)?.same) found.push({ same: [] });
    found.at(-1).same.push([x, y]);
    [i, j] = [x + 1, y + 1];
  }
  return found;
}

// The same line with the words marked that its partner has not, or null if it is another line.
function marked(text, partner) {
  const [a, b] = [text, partner].map((line) => line.match(/\w+|\s+|[^\w\s]/g) ?? []);
  const kept = new Set(common(a, b).map(([i]) => i));
  if (2 * kept.size < ALIKE * (a.length + b.length)) return null;
  const body = document.createDocumentFragment();
  a.forEach((word, i) => body.append(kept.has(i) ? word : make("mark", {}, word)));
  return body;
}

const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const SIGNS = { same: " ", old: "-", new: "+" };

function diffOf(first, second) {
  const [a, b] = [first, second].map((source) => all(source, ".fk-l"));
  const [x, y] = [a, b].map((lines) => lines.map(bare));
  const number = (line) => line?.firstChild.textContent.trim() ?? "";
  const width = Math.max(1, ...[a, b].map((lines) => number(lines.at(-1)).length));
  const count = { same: 0, old: 0, new: 0 };
  const row = (kind, i, j, body) => {
    const values = [...new Set([a[i], b[j]].flatMap((line) => (line ? words(line, "v") : [])))];
    const line = make("span", { class: `fk-l fk-${kind}` });
    if (values.length) line.dataset.v = values.join(" ");
    const numbers = [a[i], b[j]].map((each) => number(each).padStart(width)).join(" ");
    line.append(make("span", { class: "fk-no" }, `${numbers} ${SIGNS[kind]} `), body ?? inside(a[i] ?? b[j]), "\n");
    count[kind] += 1;
    return line;
  };
  const pre = make("pre", { class: "fk-code fk-diff" });
  const found = runs(x, y);
  found.forEach((run, at) => {
    if (run.same) {
      const lines = run.same.map(([i, j]) => row("same", i, j));
      pre.append(...folded(lines, at ? CONTEXT : 0, at + 1 < found.length ? CONTEXT : 0));
      return;
    }
    const pairs = Math.min(run.old.length, run.new.length);
    pre.append(
      ...run.old.map((i, k) => row("old", i, undefined, k < pairs && marked(x[i], y[run.new[k]]) || null)),
      ...run.new.map((j, k) => row("new", undefined, j, k < pairs && marked(y[j], x[run.old[k]]) || null)));
  });
  return { pre, count };
}

function folded(lines, before, after) {
  const end = lines.length - after;
  if (end - before < 2) return lines;
  const fold = make("details", { class: "fk-fold" });
  fold.append(make("summary", {}, counted(end - before, "equal line")), ...lines.slice(before, end));
  return [...lines.slice(0, before), fold, ...lines.slice(end)];
}

// A line's text, and a copy of what is coloured in it, without its number.
const bare = (line) => [...line.childNodes].slice(1).map((node) => node.textContent).join("").replace(/\n$/, "");

function inside(line) {
  const copy = line.cloneNode(true);
  copy.firstChild.remove();
  const last = copy.lastChild;
  if (last?.nodeType === Node.TEXT_NODE) last.textContent = last.textContent.replace(/\n$/, "");
  const body = document.createDocumentFragment();
  body.append(...copy.childNodes);
  return body;
}
