// Curves on a canvas: values under the pointer, a stretch of the axis by dragging, lines switched by their names.
//
// Drawn in the colour of the page's text, so that it reads on light and on dark pages alike. What it draws is described
// in display/frames.py.

const FONT = '11px system-ui, -apple-system, "Segoe UI", sans-serif';
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 14, 20, 38]; // CSS pixels around the axes: fixed, so that nothing jumps
const FEW = 40; // up to so many points are marked
const LARGEST = 5e307; // an axis from minus to plus this is still a finite stretch

const element = (parent, name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
};

const floats = bytes => new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

const shortly = value => (Number.isFinite(value) ? String(Number(value.toPrecision(6))).replace('-', '−') : String(value));

class PanelView {
  constructor(host, chart, index) {
    this.chart = chart;
    this.index = index;
    this.hidden = new Set();
    this.range = null; // of x, where someone has chosen one
    this.pointer = null;
    this.drag = null;
    this.box = element(host, 'div', 'sqlmagic-xr-panel');
    this.title = element(this.box, 'div', 'sqlmagic-xr-title');
    this.legend = element(this.box, 'div', 'sqlmagic-xr-legend');
    this.canvas = element(this.box, 'canvas');
    this.tip = element(this.box, 'div', 'sqlmagic-xr-tip');
    this.canvas.addEventListener('pointermove', event => this.moved(event));
    this.canvas.addEventListener('pointerleave', () => this.left());
    this.canvas.addEventListener('pointerdown', event => this.pressed(event));
    this.canvas.addEventListener('pointerup', event => this.released(event));
    this.canvas.addEventListener('dblclick', () => this.choose(null));
    this.canvas.title = 'Drag along the axis to see a part of it; a double click shows all.';
  }

  show(panel) {
    const names = panel.lines.map(line => line.name).join('\n');
    this.panel = panel;
    this.lines = panel.lines.map(line => ({ ...line, x: floats(line.x), y: floats(line.y) }));
    this.title.textContent = panel.title;
    this.title.hidden = !panel.title;
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', `${panel.title || 'curve'}: ${panel.lines.map(line => line.name).join(', ')}`);
    if (names !== this.names) this.makeLegend();
    this.names = names;
  }

  makeLegend() {
    this.legend.replaceChildren();
    this.legend.hidden = this.lines.length < 2;
    for (const line of this.lines) {
      const button = element(this.legend, 'button');
      button.type = 'button';
      button.title = 'Show or hide this line';
      const mark = element(button, 'span', 'sqlmagic-xr-mark');
      mark.style.borderTop = `2px ${line.dash.length ? 'dashed' : 'solid'} ${line.colour}`;
      element(button, 'span', '', line.unit && !this.panel.y_unit ? `${line.name} [${line.unit}]` : line.name);
      button.setAttribute('aria-pressed', String(!this.hidden.has(line.name)));
      button.addEventListener('click', () => {
        if (!this.hidden.delete(line.name)) this.hidden.add(line.name);
        button.setAttribute('aria-pressed', String(!this.hidden.has(line.name)));
        this.chart.draw();
      });
    }
  }

  // --- what is seen

  get visible() {
    return this.lines.filter(line => !this.hidden.has(line.name));
  }

  along() {
    if (this.range) return this.range;
    if (this.panel.kind === 'text') return [-0.5, Math.max(this.panel.names.length, 1) - 0.5];
    let [low, high] = [Infinity, -Infinity];
    for (const line of this.lines) {
      for (const x of line.x) {
        if (x < low) low = x;
        if (x > high) high = x;
      }
    }
    if (low > high) [low, high] = [0, 1];
    const pad = (high - low) * 0.02 || (this.panel.kind === 'time' ? 36e5 : 0.5);
    return [low - pad, high + pad];
  }

  up(from, to) {
    let [low, high, least] = [Infinity, -Infinity, Infinity];
    let log = this.chart.log && this.visible.length > 0;
    for (const line of this.visible) {
      let positive = false;
      line.y.forEach((y, i) => {
        if (!Number.isFinite(y) || line.x[i] < from || line.x[i] > to) return;
        if (y < low) low = y;
        if (y > high) high = y;
        if (y > 0 && y < least) least = y;
        positive = positive || y > 0;
      });
      log = log && positive; // or a line would vanish
    }
    if (low > high) return { low: 0, high: 1, log: false };
    if (log) {
      const [bottom, top] = [Math.log10(least), Math.log10(high)];
      const pad = top - bottom > 5e-4 ? 0.06 * (top - bottom) : 0.04;
      return { low: 10 ** Math.max(bottom - pad, -307), high: 10 ** Math.min(top + pad, 307.9), log };
    }
    [low, high] = [Math.max(low, -LARGEST), Math.min(high, LARGEST)];
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
    return { low: low >= 0 ? Math.max(low - pad, -0.3 * pad) : low - pad, high: high + pad, log: false };
  }

  // --- drawing

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!this.panel || !width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const [from, to] = this.along();
    const y = this.up(from, to);
    const place = y.log ? Math.log10 : v => v;
    const [bottom, top] = [place(y.low), place(y.high)];
    this.frame = {
      from, to, left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM,
      x: v => LEFT + ((v - from) / (to - from)) * (width - LEFT - RIGHT),
      y: v => height - BOTTOM - ((place(v) - bottom) / (top - bottom)) * (height - TOP - BOTTOM),
      value: px => from + ((px - LEFT) / (width - LEFT - RIGHT)) * (to - from)
    };
    pen.font = FONT;
    this.ink = getComputedStyle(this.box).color;
    this.drawAxes(pen, y, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP - 4, width - LEFT - RIGHT + 4, height - TOP - BOTTOM + 8);
    pen.clip();
    for (const under of [true, false]) {
      for (const line of this.visible) if (line.under === under) this.drawLine(pen, line, y.log);
    }
    const best = this.panel.best && !this.hidden.has(this.panel.best.name) ? this.panel.best : null;
    if (best) this.drawRing(pen, best);
    this.drawDrag(pen);
    pen.restore();
    if (best) this.drawWords(pen, best);
    this.drawPointer(pen);
  }

  // As many as their labels leave room for.
  ticks(pen, width) {
    const least = 2;
    for (let count = Math.min(10, Math.floor((width - LEFT - RIGHT) / 45)); count > least; count--) {
      const ticks = this.someTicks(count);
      const room = Math.max(...ticks.map(tick => pen.measureText(tick.label).width)) + 12;
      const places = ticks.map(tick => this.frame.x(tick.value));
      if (places.every((x, i) => i === 0 || x - places[i - 1] >= room)) return ticks;
    }
    return this.someTicks(least);
  }

  someTicks(count) {
    const { from, to } = this.frame;
    if (this.panel.kind === 'text') return textTicks(from, to, this.panel.names, count);
    return this.panel.kind === 'time' ? timeTicks(from, to, count) : linearTicks(from, to, count, this.panel.whole);
  }

  drawAxes(pen, y, width, height) {
    const { left, right, top, bottom } = this.frame;
    pen.fillStyle = pen.strokeStyle = this.ink;
    pen.lineWidth = 1;
    const line = (x1, y1, x2, y2, alpha) => {
      pen.globalAlpha = alpha;
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.lineTo(x2, y2);
      pen.stroke();
      pen.globalAlpha = 1;
    };
    pen.textAlign = 'center';
    pen.textBaseline = 'top';
    for (const tick of this.ticks(pen, width)) {
      const x = Math.round(this.frame.x(tick.value)) + 0.5;
      line(x, top, x, bottom, 0.14);
      pen.fillText(tick.label, Math.min(x, width - pen.measureText(tick.label).width / 2), bottom + 5);
    }
    pen.textAlign = 'right';
    pen.textBaseline = 'middle';
    for (const tick of y.log ? logTicks(y.low, y.high) : linearTicks(y.low, y.high, 5, false)) {
      const at = Math.round(this.frame.y(tick.value)) + 0.5;
      line(left, at, right, at, 0.14);
      pen.fillText(tick.label, left - 5, at);
    }
    line(left + 0.5, top, left + 0.5, bottom, 0.7);
    line(left, bottom + 0.5, right, bottom + 0.5, 0.7);
    pen.textAlign = 'center';
    pen.textBaseline = 'bottom';
    pen.fillText(this.panel.x_label, (left + right) / 2, height - 2);
    pen.save();
    pen.translate(11, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = 'middle';
    pen.fillText(this.panel.y_label, 0, 0);
    pen.restore();
  }

  drawLine(pen, line, log) {
    const { x, y } = line;
    pen.strokeStyle = pen.fillStyle = line.colour;
    pen.globalAlpha = line.under ? 0.55 : 1;
    pen.lineWidth = 1.8;
    pen.lineJoin = 'round';
    pen.setLineDash(line.dash);
    pen.beginPath();
    let down = false;
    for (let i = 0; i < x.length; i++) {
      const sound = Number.isFinite(y[i]) && Number.isFinite(x[i]) && (!log || y[i] > 0);
      if (!sound) down = false;
      else if (down) pen.lineTo(this.frame.x(x[i]), this.frame.y(y[i]));
      else pen.moveTo(this.frame.x(x[i]), this.frame.y(y[i]));
      down = sound;
    }
    pen.stroke();
    pen.setLineDash([]);
    if (x.length <= FEW) {
      for (let i = 0; i < x.length; i++) {
        if (Number.isFinite(y[i]) && (!log || y[i] > 0)) this.dot(pen, x[i], y[i], 2.6);
      }
    }
    pen.globalAlpha = 1;
  }

  dot(pen, x, y, radius) {
    pen.beginPath();
    pen.arc(this.frame.x(x), this.frame.y(y), radius, 0, 2 * Math.PI);
    pen.fill();
  }

  drawRing(pen, best) {
    pen.strokeStyle = this.ink;
    pen.lineWidth = 1.4;
    pen.beginPath();
    pen.arc(this.frame.x(best.x), this.frame.y(best.y), 5, 0, 2 * Math.PI);
    pen.stroke();
  }

  // The best step in words, above the axes, where no curve comes.
  drawWords(pen, best) {
    pen.fillStyle = this.ink;
    pen.textAlign = 'right';
    pen.textBaseline = 'bottom';
    pen.fillText(best.text, this.frame.right, TOP - 5);
  }

  drawDrag(pen) {
    if (!this.drag) return;
    const [one, other] = this.drag;
    pen.fillStyle = this.ink;
    pen.globalAlpha = 0.15;
    pen.fillRect(Math.min(one, other), TOP, Math.abs(other - one), this.frame.bottom - TOP);
    pen.globalAlpha = 1;
  }

  // --- the pointer

  // The place of a line's point that is nearest to `x` among those that are seen; -1 where none is.
  nearest(line, x) {
    const { from, to } = this.frame;
    let found = -1;
    let least = Infinity;
    for (let i = 0; i < line.x.length; i++) {
      const far = Math.abs(line.x[i] - x);
      if (far < least && Number.isFinite(line.y[i]) && line.x[i] >= from && line.x[i] <= to) [found, least] = [i, far];
    }
    return found;
  }

  drawPointer(pen) {
    this.tip.hidden = true;
    if (this.pointer === null || this.drag) return;
    const { left, right, top, bottom } = this.frame;
    if (this.pointer < left || this.pointer > right) return;
    const found = this.visible.map(line => [line, this.nearest(line, this.frame.value(this.pointer))]).filter(pair => pair[1] >= 0);
    if (!found.length) return;
    const at = this.frame.value(this.pointer);
    const [near, place] = found.reduce((a, b) => (Math.abs(b[0].x[b[1]] - at) < Math.abs(a[0].x[a[1]] - at) ? b : a));
    const x = near.x[place];
    pen.strokeStyle = this.ink;
    pen.globalAlpha = 0.5;
    pen.beginPath();
    pen.moveTo(this.frame.x(x), top);
    pen.lineTo(this.frame.x(x), bottom);
    pen.stroke();
    pen.globalAlpha = 1;
    this.tip.replaceChildren();
    element(this.tip, 'div', '', `${this.panel.x_name} ${this.told(x)}`);
    for (const [line, i] of found) {
      pen.fillStyle = line.colour;
      this.dot(pen, line.x[i], line.y[i], 3.5);
      const row = element(this.tip, 'div');
      const mark = element(row, 'span', 'sqlmagic-xr-mark');
      mark.style.borderTop = `2px solid ${line.colour}`;
      const own = line.x[i] === x ? '' : ` at ${this.told(line.x[i])}`;
      element(row, 'span', '', `${line.name} ${shortly(line.y[i])}${line.unit ? ` ${line.unit}` : ''}${own}`);
    }
    this.tip.hidden = false;
    const beside = this.frame.x(x) + 12;
    const room = this.box.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, beside > room ? this.frame.x(x) - 12 - this.tip.offsetWidth : beside)}px`;
    this.tip.style.top = `${this.canvas.offsetTop + TOP + 6}px`;
  }

  told(x) {
    if (this.panel.kind === 'text') return this.panel.names[x];
    return this.panel.kind === 'time' ? instant(x).slice(0, 19).replace('T00:00:00', '').replace('T', ' ') : shortly(x);
  }

  moved(event) {
    this.pointer = event.offsetX;
    if (this.drag) this.drag[1] = Math.min(Math.max(event.offsetX, this.frame.left), this.frame.right);
    this.chart.draw();
  }

  left() {
    this.pointer = null;
    this.chart.draw();
  }

  pressed(event) {
    if (!this.frame || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = [event.offsetX, event.offsetX];
  }

  released() {
    const drag = this.drag;
    this.drag = null;
    if (drag && Math.abs(drag[1] - drag[0]) > 6) this.choose(drag.map(px => this.frame.value(px)).sort((a, b) => a - b));
    else this.chart.draw();
  }

  choose(range) {
    this.range = range;
    this.chart.chosen(this.index, range);
    this.chart.draw();
  }
}

class Chart {
  // `chosen` is told the number of a panel and the stretch [low, high] of its x axis that is looked at, null for all.
  constructor(host, chosen = () => {}) {
    this.box = element(host, 'div', 'sqlmagic-xr-panels');
    this.chosen = chosen;
    this.views = [];
    this.log = false;
    this.asked = false;
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.box);
  }

  show(panels, log) {
    this.log = log;
    while (this.views.length > panels.length) this.views.pop().box.remove();
    while (this.views.length < panels.length) this.views.push(new PanelView(this.box, this, this.views.length));
    this.box.classList.toggle('sqlmagic-xr-several', panels.length > 1);
    panels.forEach((panel, i) => this.views[i].show(panel));
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      for (const view of this.views) view.draw();
    });
  }

  close() {
    this.watch.disconnect();
  }
}
