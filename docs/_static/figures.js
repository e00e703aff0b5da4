// The figures to play with: gradient descent on a line, at a saddle, and with learning rates that
// fall. Their arithmetic is fastgd's (tests/test_figures.py compares the two, to rounding). There is
// nothing to fetch: data come with the page, written by docs/_extensions/figures.py.
"use strict";

(() => {
  // --- arithmetic -------------------------------------------------------------------------------

  /** Return a generator of numbers from 0 to 1 (mulberry32: 32 bits of state, enough for a figure). */
  function generator(seed) {
    let state = (seed + 1) * 0x9e3779b9;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /** Deals n samples into batches, epoch after epoch, with or without replacement. */
  class Batches {
    constructor(n, size, sampling, seed) {
      Object.assign(this, { n, size, sampling, random: generator(seed), order: [], at: 0 });
    }

    next() {
      if (this.at >= this.order.length) {
        this.order = this.epoch();
        this.at = 0;
      }
      const batch = this.order.slice(this.at, this.at + this.size);
      this.at += this.size;
      return batch;
    }

    epoch() {
      const below = (k) => Math.floor(this.random() * k);
      const order = Array.from({ length: this.n }, (_, k) => k);
      if (this.sampling === "replacement") return order.map(() => below(this.n));
      for (let k = this.n - 1; k > 0; k--) {
        const other = below(k + 1);
        [order[k], order[other]] = [order[other], order[k]];
      }
      return order;
    }
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The cost of the line theta1 x + theta0: mean((theta1 x + theta0 - y)^2). */
  class Line {
    constructor({ x, y }) {
      Object.assign(this, { x, y, n: x.length });
      const [mx, my] = [mean(x), mean(y)];
      const sxx = mean(x.map((v) => (v - mx) ** 2));
      const slope = mean(x.map((v, i) => (v - mx) * (y[i] - my))) / sxx;
      this.minimum = [slope, my - slope * mx];
      this.least = this.cost(this.minimum);
    }

    error(theta, i) {
      return theta[0] * this.x[i] + theta[1] - this.y[i];
    }

    cost(theta, batch = this.x.map((_, i) => i)) {
      return mean(batch.map((i) => this.error(theta, i) ** 2));
    }

    /** Each sample's gradient by theta1 and theta0. */
    gradients(theta, batch) {
      return batch.map((i) => [2 * this.error(theta, i) * this.x[i], 2 * this.error(theta, i)]);
    }

    /** One update: the mean of the batch's gradients, times the learning rate. */
    step(theta, batch, rate) {
      const gradients = this.gradients(theta, batch);
      return theta.map((value, k) => value - rate * mean(gradients.map((g) => g[k])));
    }
  }

  /** The quintic cost whose slope vanishes at -3/2: gd.landscapes.Quintic. */
  class Quintic {
    constructor({ tilts }) {
      Object.assign(this, { tilts, n: tilts.length });
    }

    cost(theta, tilt = 0) {
      const u = theta + 1.5;
      return u ** 3 * ((u * u) / 50 - 5 / 24) + tilt * theta;
    }

    tilt(batch) {
      return mean(batch.map((i) => this.tilts[i]));
    }

    step(theta, batch, rate) {
      const u = theta + 1.5;
      return theta - rate * ((u * u * (u * u - 6.25)) / 10 + this.tilt(batch));
    }
  }

  /** The learning rate of an epoch, by the schedules of gd.schedules, over a number of epochs. */
  const SCHEDULES = {
    step: (rate, epoch, epochs) => rate * 0.1 ** Math.floor(epoch / Math.ceil(epochs / 3)),
    exponential: (rate, epoch, epochs) => rate * 0.01 ** (epoch / epochs),
    inverse_scaling: (rate, epoch) => rate / (epoch + 1),
    cosine: (rate, epoch, epochs) => (rate * (1 + Math.cos((Math.PI * epoch) / epochs))) / 2,
    constant: (rate) => rate,
  };

  // --- words ------------------------------------------------------------------------------------

  const WORDS = {
    en: {
      play: "Play", pause: "Pause", step: "Step", reset: "Reset",
      batch: "batch size", rate: "learning rate", sampling: "sampling", seed: "seed",
      schedule: "schedule", all: (n) => `all ${n}`,
      shuffle: "without replacement", replacement: "with replacement",
      data: "The data and the line", ways: "The path over the contours",
      costs: "The cost against updates", x: "x", y: "y", updates: "updates", cost: "cost",
      least: "lowest possible", before: "run before", ofBatch: "batch", ofAll: "all samples",
      ready: (b, n) =>
        `Ready. ${b === n ? `All ${n} samples make` : b === 1 ? "One sample makes" : `${b} samples make`} ` +
        "each update. Press Step or Play.",
      did: (k, b, list, passes, epochs) =>
        `Update ${k}: ${b} forward pass${b === 1 ? "" : "es"}, ${b} sample gradient${b === 1 ? "" : "s"}, ` +
        `one mean, one update. ${list ? `Sample${b === 1 ? "" : "s"} ${list}. ` : ""}` +
        `In all ${k} update${k === 1 ? "" : "s"} from ${passes} forward passes (${epochs} epochs).`,
      list: (batch) => (batch.length > 8 ? "" : batch.map((i) => i + 1).join(", ")),
      diverged: "The parameters grow without bound: this learning rate is too large. Choose a smaller one.",
      dataLabel: (t1, t0) => `Scatter plot of the samples with the line y = ${t1} x + ${t0}`,
      wayLabel: (t1, t0) => `Contours of the cost; the path is at theta1 = ${t1}, theta0 = ${t0}`,
      costLabel: (c, l) => `The cost of all samples is ${c}; the lowest possible is ${l}`,
      hill: "The cost, and where the runs are on it", theta: "θ against updates",
      saddle: "saddle", minimum: "minimum", runs: (b) => `20 seeds, batch size ${b}`,
      single: "batch",
      saddleReady: "Ready. All runs start at θ = −3, left of the saddle. Press Play.",
      saddleDid: (k, past, b, end, n) =>
        `Update ${k}: ${past} of 20 runs with batch size ${b} are past the saddle. ` +
        `Batch gradient descent (all ${n}) is at θ = ${end}.`,
      hillLabel: (past) => `The cost has a saddle at -1.5 and a minimum at 1; ${past} of 20 runs are past the saddle`,
      thetaLabel: (end) => `Theta against updates for 20 runs; that of all samples is at ${end}`,
      rates: "The learning rate", excess: "The cost above the lowest", epochs: "epochs",
      high: (r) => `${r} throughout`, low: (r) => `${r} throughout`, falls: "falling",
      scheduleReady: "Ready. Three runs with batch size 1: a large rate, a small rate, and one that falls.",
      scheduleDid: (e, a, b, c) =>
        `After ${e} epochs the cost is above the lowest by ${a} with the large rate, ${b} with the small ` +
        `rate, ${c} with the falling rate (mean of the last five epochs).`,
      rateLabel: (r) => `The falling learning rate is now ${r}`,
      excessLabel: (c) => `The cost above the lowest is ${c} with the falling rate`,
      kinds: {
        step: "in steps (a tenth, twice)", exponential: "exponential", inverse_scaling: "1 / (epoch + 1)",
        cosine: "cosine",
      },
    },
    ko: {
      play: "재생", pause: "멈춤", step: "한 걸음", reset: "처음으로",
      batch: "배치 크기", rate: "학습률", sampling: "표본 추출", seed: "시드",
      schedule: "학습률 변화", all: (n) => `전체 ${n}`,
      shuffle: "비복원", replacement: "복원",
      data: "데이터와 직선", ways: "등고선 위의 경로",
      costs: "갱신 횟수에 따른 비용", x: "x", y: "y", updates: "갱신 횟수", cost: "비용",
      least: "최소 비용", before: "앞선 실행", ofBatch: "배치", ofAll: "전체 샘플",
      ready: (b, n) =>
        `준비되었습니다. 샘플 ${b === n ? `전체(${n}개)` : `${b}개`}로 한 번 갱신합니다. ‘한 걸음’이나 ‘재생’을 누르세요.`,
      did: (k, b, list, passes, epochs) =>
        `${k}번째 갱신: 순전파 ${b}번, 샘플 그래디언트 ${b}개, 평균 하나, 갱신 한 번. ` +
        `${list ? `쓰인 샘플은 ${list}번. ` : ""}지금까지 순전파 ${passes}번으로 ${k}번 갱신했습니다(${epochs}에포크).`,
      list: (batch) => (batch.length > 8 ? "" : batch.map((i) => i + 1).join(", ")),
      diverged: "매개변수가 끝없이 커집니다. 학습률이 너무 큽니다. 더 작은 값을 고르세요.",
      dataLabel: (t1, t0) => `샘플의 산점도와 직선 y = ${t1} x + ${t0}`,
      wayLabel: (t1, t0) => `비용의 등고선. 경로의 현재 위치는 theta1 = ${t1}, theta0 = ${t0}`,
      costLabel: (c, l) => `전체 샘플의 비용은 ${c}, 최소 비용은 ${l}`,
      hill: "비용 곡선 위의 현재 위치", theta: "갱신 횟수에 따른 θ",
      saddle: "안장점", minimum: "최소점", runs: (b) => `시드 20개, 배치 크기 ${b}`,
      single: "배치",
      saddleReady: "준비되었습니다. 모두 안장점 왼쪽인 θ = −3에서 출발합니다. ‘재생’을 누르세요.",
      saddleDid: (k, past, b, end, n) =>
        `${k}번째 갱신: 배치 크기 ${b}인 실행 20개 가운데 ${past}개가 안장점을 지났습니다. ` +
        `배치 경사하강법(전체 ${n}개)은 θ = ${end}에 있습니다.`,
      hillLabel: (past) => `비용은 -1.5에 안장점, 1에 최소점이 있다. 실행 20개 가운데 ${past}개가 안장점을 지났다`,
      thetaLabel: (end) => `실행 20개의 갱신 횟수에 따른 theta. 전체 샘플을 쓴 실행은 ${end}에 있다`,
      rates: "학습률", excess: "최소 비용을 넘는 양", epochs: "에포크",
      high: (r) => `계속 ${r}`, low: (r) => `계속 ${r}`, falls: "줄여 가기",
      scheduleReady: "준비되었습니다. 배치 크기 1로 세 가지를 견줍니다. 큰 학습률, 작은 학습률, 줄어드는 학습률입니다.",
      scheduleDid: (e, a, b, c) =>
        `${e}에포크 뒤 비용은 최소 비용보다 큰 학습률로 ${a}, 작은 학습률로 ${b}, 줄어드는 학습률로 ${c}만큼 높습니다` +
        "(마지막 5에포크의 평균).",
      rateLabel: (r) => `줄어드는 학습률의 현재 값은 ${r}`,
      excessLabel: (c) => `줄어드는 학습률일 때 최소 비용을 넘는 양은 ${c}`,
      kinds: {
        step: "계단(10분의 1씩 두 번)", exponential: "지수", inverse_scaling: "1 / (에포크 + 1)", cosine: "코사인",
      },
    },
  };

  const show = (value, digits = 3) =>
    Number.isFinite(value) ? String(+value.toPrecision(digits)).replace("-", "−") : "∞";

  // --- drawing ----------------------------------------------------------------------------------

  const [WIDTH, HEIGHT] = [320, 262];
  const ROOM = { left: 50, right: 12, top: 8, bottom: 40 };
  let clips = 0;

  function svg(name, attributes, parent, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  function html(name, attributes, parent, text) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  /** One set of axes; x and y are ranges, and a logarithmic y has only positive numbers. */
  class Panel {
    constructor(parent, { title, x, y, xlabel, ylabel, xticks, yticks, log = false }) {
      const box = html("div", { class: "fgd-panel" }, parent);
      html("p", { class: "fgd-title", "aria-hidden": "true" }, box, title);
      this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, box);
      Object.assign(this, { x, y, xticks, yticks, log });
      this.grid = svg("g", { class: "fgd-axes" }, this.svg);
      svg("text", { x: (ROOM.left + WIDTH - ROOM.right) / 2, y: HEIGHT - 5, class: "fgd-label" }, this.svg, xlabel);
      const turned = `translate(12 ${(ROOM.top + HEIGHT - ROOM.bottom) / 2}) rotate(-90)`;
      svg("text", { transform: turned, class: "fgd-label" }, this.svg, ylabel);
      const clip = `fgd-clip-${clips++}`;
      const [w, h] = [WIDTH - ROOM.left - ROOM.right, HEIGHT - ROOM.top - ROOM.bottom];
      const path = svg("clipPath", { id: clip }, this.svg);
      svg("rect", { x: ROOM.left, y: ROOM.top, width: w, height: h }, path);
      this.inside = svg("g", { "clip-path": `url(#${clip})` }, this.svg);
      this.over = svg("g", {}, this.svg);
      this.axes();
    }

    axes() {
      this.grid.replaceChildren();
      const bottom = HEIGHT - ROOM.bottom;
      for (const tick of this.xticks(this.x)) {
        svg("line", { x1: this.px(tick), x2: this.px(tick), y1: bottom, y2: bottom + 4 }, this.grid);
        svg("text", { x: this.px(tick), y: bottom + 17, "text-anchor": "middle" }, this.grid, show(tick, 6));
      }
      for (const tick of this.yticks(this.y)) {
        svg("line", { x1: ROOM.left - 4, x2: ROOM.left, y1: this.py(tick), y2: this.py(tick) }, this.grid);
        svg("text", { x: ROOM.left - 6, y: this.py(tick) + 4, "text-anchor": "end" }, this.grid, show(tick, 6));
      }
      svg("path", { d: `M${ROOM.left} ${ROOM.top}V${bottom}H${WIDTH - ROOM.right}`, fill: "none" }, this.grid);
    }

    px(value) {
      const [low, high] = this.x;
      return ROOM.left + ((value - low) / (high - low)) * (WIDTH - ROOM.left - ROOM.right);
    }

    py(value) {
      const scale = this.log ? (v) => Math.log(Math.max(v, 1e-12)) : (v) => v;
      const [low, high] = this.y.map(scale);
      const share = Math.max(-9, Math.min(9, (scale(value) - low) / (high - low)));
      return HEIGHT - ROOM.bottom - share * (HEIGHT - ROOM.top - ROOM.bottom);
    }

    line(points, kind, parent = this.inside) {
      const d = points.map(([x, y], k) => `${k ? "L" : "M"}${this.px(x).toFixed(1)} ${this.py(y).toFixed(1)}`);
      return svg("path", { d: d.join(""), class: `fgd-line ${kind}` }, parent);
    }

    dot(x, y, radius, kind, parent = this.inside) {
      return svg("circle", { cx: this.px(x), cy: this.py(y), r: radius, class: kind }, parent);
    }

    words(x, y, text, kind = "", anchor = "start") {
      const attributes = { x: this.px(x), y: this.py(y), class: `fgd-words ${kind}`, "text-anchor": anchor };
      return svg("text", attributes, this.over, text);
    }

    clear() {
      this.inside.replaceChildren();
      this.over.replaceChildren();
    }
  }

  const every = (size) => ([low, high]) => {
    const ticks = [];
    for (let k = Math.ceil(low / size - 1e-9); k * size <= high + 1e-9; k++) ticks.push(+(k * size).toFixed(6));
    return ticks;
  };
  const some = ([low, high]) => {
    const size = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((s) => (high - low) / s <= 5) || 1000;
    return every(size)([low, high]);
  };
  const decades = (factors) => ([low, high]) => {
    const ticks = [];
    for (let k = Math.floor(Math.log10(low)); 10 ** k <= high; k++) {
      for (const factor of factors) {
        const tick = factor * 10 ** k;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  };

  // --- figures ----------------------------------------------------------------------------------

  /** What all figures have: controls, play, step and reset, and a line that says what happened. */
  class Figure {
    constructor(root, data) {
      this.root = root;
      this.words = WORDS[root.dataset.language] || WORDS.en;
      this.model = this.makeModel(data);
      this.timer = null;
      root.replaceChildren();
      this.controls = html("div", { class: "fgd-controls" }, root);
      this.inputs = {};
      this.addInputs();
      const buttons = html("div", { class: "fgd-buttons" }, root);
      this.play = this.button(buttons, this.words.play, () => this.toggle());
      this.play.classList.add("fgd-play");
      this.button(buttons, this.words.step, () => {
        this.stop();
        this.advance();
        this.draw();
      });
      this.button(buttons, this.words.reset, () => this.restart(false));
      this.panels = html("div", { class: "fgd-panels" }, root);
      this.status = html("p", { class: "fgd-status", role: "status" }, root);
      this.addPanels();
      this.reset();
      this.draw();
    }

    button(parent, text, action) {
      const button = html("button", { type: "button" }, parent, text);
      button.addEventListener("click", action);
      return button;
    }

    /** Add a slider over a list of values, or a list to choose from. */
    input(name, label, values, start, text = (value) => String(value), choose = false) {
      const box = html("label", {}, this.controls);
      html("span", {}, box, label);
      let input;
      if (choose) {
        input = html("select", {}, box);
        for (const value of values) html("option", { value }, input, text(value));
        input.value = start;
        this.inputs[name] = () => input.value;
      } else {
        const range = { type: "range", min: 0, max: values.length - 1, step: 1, value: values.indexOf(start) };
        input = html("input", range, box);
        const output = html("span", { class: "fgd-value", "aria-hidden": "true" }, box);
        this.inputs[name] = () => values[+input.value];
        const tell = () => {
          output.textContent = text(values[+input.value]);
          input.setAttribute("aria-valuetext", output.textContent);
        };
        input.addEventListener("input", tell);
        tell();
      }
      input.dataset.name = name;
      input.addEventListener("input", () => this.restart(true));
    }

    get settings() {
      return Object.fromEntries(Object.entries(this.inputs).map(([name, value]) => [name, value()]));
    }

    restart(changed) {
      this.stop();
      this.reset(changed);
      this.draw();
    }

    toggle() {
      if (this.timer !== null) {
        this.stop();
        return;
      }
      if (this.done) this.reset(false);
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
        while (!this.done) this.advance();
        this.draw();
        return;
      }
      this.play.textContent = this.words.pause;
      this.status.setAttribute("aria-live", "off"); // twenty sentences a second are none
      const tick = () => {
        for (let k = 0; k < this.pace && !this.done; k++) this.advance();
        this.timer = setTimeout(tick, this.pause);
        if (this.done) this.stop();
        this.draw();
      };
      tick();
    }

    stop() {
      clearTimeout(this.timer);
      this.timer = null;
      this.play.textContent = this.words.play;
      this.status.setAttribute("aria-live", "polite");
    }
  }

  const RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7];
  const SEEDS = Array.from({ length: 20 }, (_, k) => k);

  /** The line: its data, the path of its parameters, and its cost. */
  class LineFigure extends Figure {
    makeModel(data) {
      return new Line(data);
    }

    addInputs() {
      const n = this.model.n;
      const sizes = [1, 2, 4, 8, 16, 32, n];
      this.input("batch", this.words.batch, sizes, 8, (b) => (b === n ? this.words.all(n) : b));
      this.input("rate", this.words.rate, RATES, 0.1);
      this.input("seed", this.words.seed, SEEDS, 0);
      const kinds = ["shuffle", "replacement"];
      this.input("sampling", this.words.sampling, kinds, "shuffle", (k) => this.words[k], true);
    }

    addPanels() {
      const { words, model } = this;
      const [low, high] = [Math.min(...model.y), Math.max(...model.y)];
      this.data = new Panel(this.panels, {
        title: words.data, x: [-1.1, 2.1], y: [Math.min(low, 0) - 0.4, high + 0.4], xlabel: words.x,
        ylabel: words.y, xticks: every(1), yticks: every(2),
      });
      this.way = new Panel(this.panels, {
        title: words.ways, x: [-0.9, 3.9], y: [-0.9, 2.9], xlabel: "θ₁", ylabel: "θ₀",
        xticks: every(1), yticks: every(1),
      });
      this.costs = new Panel(this.panels, {
        title: words.costs, x: [0, 40], y: [0.1, 10], xlabel: words.updates, ylabel: words.cost,
        xticks: some, yticks: decades([1]), log: true,
      });
      this.ground();
    }

    /** Draw the contours, ellipses, once: below all that moves. */
    ground() {
      const { model, way } = this;
      const [a, b] = [mean(model.x.map((v) => v * v)), mean(model.x)];
      const layer = svg("g", { class: "fgd-contours" }, null);
      for (const excess of [0.03, 0.1, 0.3, 1, 2, 4, 8, 14]) {
        const points = Array.from({ length: 97 }, (_, k) => {
          const angle = (k * Math.PI) / 48;
          const u = (Math.sqrt(excess) * Math.cos(angle)) / Math.sqrt(a - b * b);
          const v = Math.sqrt(excess) * Math.sin(angle) - b * u;
          return [model.minimum[0] + u, model.minimum[1] + v];
        });
        way.line(points, "", layer);
      }
      way.inside.before(layer);
      layer.setAttribute("clip-path", way.inside.getAttribute("clip-path"));
    }

    reset(keep) {
      if (keep && this.points && this.points.length > 5) this.ghost = { points: this.points, costs: this.all };
      const { batch, sampling, seed } = this.settings;
      this.batches = new Batches(this.model.n, batch, sampling, seed);
      this.points = [[0, 0]];
      this.all = [this.model.cost([0, 0])];
      this.own = [];
      this.last = null;
      this.passes = 0;
      this.diverged = false;
    }

    get done() {
      return this.diverged || this.points.length > 400;
    }

    get pause() {
      return this.points.length < 12 ? 300 : 40;
    }

    get pace() {
      return this.points.length > 60 ? 2 : 1;
    }

    advance() {
      if (this.done) return;
      const theta = this.points[this.points.length - 1];
      const batch = this.batches.next();
      const next = this.model.step(theta, batch, this.settings.rate);
      this.own.push(this.model.cost(theta, batch));
      this.last = { theta, batch, pulls: this.model.gradients(theta, batch) };
      this.points.push(next);
      this.all.push(this.model.cost(next));
      this.passes += batch.length;
      this.diverged = !(this.all[this.all.length - 1] < 1e6);
    }

    draw() {
      this.drawData();
      this.drawWay();
      this.drawCosts();
      const { words, model, points } = this;
      const [k, { batch }] = [points.length - 1, this.settings];
      if (this.diverged) this.status.textContent = words.diverged;
      else if (k === 0) this.status.textContent = words.ready(batch, model.n);
      else {
        const epochs = show(this.passes / model.n, 3);
        const list = words.list(this.last.batch);
        this.status.textContent = words.did(k, this.last.batch.length, list, this.passes, epochs);
      }
    }

    drawData() {
      const { data, model, points, last, words } = this;
      const theta = points[points.length - 1];
      data.clear();
      const used = new Set(last ? last.batch : []);
      for (const i of used) {
        const at = last.theta[0] * model.x[i] + last.theta[1];
        data.line([[model.x[i], model.y[i]], [model.x[i], at]], "fgd-pull");
      }
      if (last) data.line([-1.1, 2.1].map((x) => [x, last.theta[0] * x + last.theta[1]]), "fgd-ghost");
      data.line([-1.1, 2.1].map((x) => [x, theta[0] * x + theta[1]]), "fgd-main");
      model.x.forEach((x, i) => data.dot(x, model.y[i], used.has(i) ? 4.5 : 3.2, used.has(i) ? "fgd-used" : "fgd-sample"));
      data.svg.setAttribute("aria-label", words.dataLabel(show(theta[0]), show(theta[1])));
    }

    drawWay() {
      const { way, model, points, last, ghost, words } = this;
      const theta = points[points.length - 1];
      way.clear();
      if (ghost) way.line(ghost.points, "fgd-ghost");
      if (last) {
        for (const g of last.pulls) {
          way.line([last.theta, last.theta.map((v, k) => v - this.settings.rate * g[k])], "fgd-pull");
        }
      }
      way.line(points, "fgd-tail");
      way.line(points.slice(-25), "fgd-main");
      way.dot(0, 0, 3, "fgd-start");
      svg("path", { d: star(way.px(model.minimum[0]), way.py(model.minimum[1])), class: "fgd-star" }, way.inside);
      way.dot(theta[0], theta[1], 5, "fgd-now");
      way.svg.setAttribute("aria-label", words.wayLabel(show(theta[0]), show(theta[1])));
    }

    drawCosts() {
      const { costs, model, all, own, ghost, words } = this;
      const longest = Math.max(40, all.length - 1, ghost ? Math.min(ghost.costs.length - 1, 400) : 0);
      const end = [40, 100, 200, 400].find((value) => value >= longest) || 400;
      if (costs.x[1] !== end) {
        costs.x = [0, end];
        costs.axes();
      }
      costs.clear();
      costs.line([[0, model.least], [end, model.least]], "fgd-goal");
      costs.words(end, model.least * 0.8, `${words.least}: ${show(model.least)}`, "", "end").setAttribute("dy", 6);
      if (ghost) costs.line(ghost.costs.map((c, k) => [k, c]), "fgd-ghost");
      own.forEach((c, k) => costs.dot(k, c, 1.7, "fgd-own"));
      costs.line(all.map((c, k) => [k, c]), "fgd-main");
      costs.words(end, 8.6, `● ${words.ofBatch}`, "fgd-orange", "end");
      costs.words(end, 5.9, `— ${words.ofAll}`, "fgd-blue", "end");
      if (ghost) costs.words(end, 4.05, `— ${words.before}`, "fgd-grey", "end");
      costs.svg.setAttribute("aria-label", words.costLabel(show(all[all.length - 1]), show(model.least)));
    }
  }

  function star(x, y) {
    const points = Array.from({ length: 10 }, (_, k) => {
      const [radius, angle] = [k % 2 ? 3.2 : 7.5, ((k - 2.5) * Math.PI) / 5];
      return `${(x + radius * Math.cos(angle)).toFixed(1)} ${(y + radius * Math.sin(angle)).toFixed(1)}`;
    });
    return `M${points.join("L")}Z`;
  }

  /** The saddle of the quintic: 20 runs of one batch size, and batch gradient descent. */
  class SaddleFigure extends Figure {
    makeModel(data) {
      return new Quintic(data);
    }

    addInputs() {
      this.input("batch", this.words.batch, [1, 2, 4, 8, 16, 32], 1);
      this.input("rate", this.words.rate, [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.3);
      this.input("seed", this.words.seed, SEEDS, 0, (seed) => `${20 * seed}–${20 * seed + 19}`);
    }

    addPanels() {
      const { words } = this;
      this.hill = new Panel(this.panels, {
        title: words.hill, x: [-4.1, 2.1], y: [-1.75, 1.75], xlabel: "θ", ylabel: words.cost,
        xticks: every(1), yticks: every(1),
      });
      this.ways = new Panel(this.panels, {
        title: words.theta, x: [0, 500], y: [-3.3, 1.8], xlabel: words.updates, ylabel: "θ",
        xticks: every(100), yticks: every(1),
      });
    }

    reset() {
      const { batch, seed } = this.settings;
      const n = this.model.n;
      this.batches = SEEDS.map((k) => new Batches(n, batch, "shuffle", 20 * seed + k));
      this.tracks = SEEDS.map(() => [-3]);
      this.whole = [-3];
      this.tilt = null;
    }

    get done() {
      return this.whole.length > 500;
    }

    get pause() {
      return 40;
    }

    get pace() {
      return 2;
    }

    advance() {
      if (this.done) return;
      const { model, settings } = this;
      this.tracks.forEach((track, k) => {
        const batch = this.batches[k].next();
        if (k === 0) this.tilt = model.tilt(batch);
        track.push(model.step(track[track.length - 1], batch, settings.rate));
      });
      const all = Array.from({ length: model.n }, (_, k) => k);
      this.whole.push(model.step(this.whole[this.whole.length - 1], all, settings.rate));
    }

    draw() {
      const { hill, ways, words, model, tracks, whole, settings } = this;
      const past = tracks.filter((track) => track[track.length - 1] > -1.5).length;
      const [now, k] = [whole[whole.length - 1], whole.length - 1];
      const grid = Array.from({ length: 125 }, (_, i) => -4.1 + i * 0.05);
      hill.clear();
      hill.line([[-1.5, -1.75], [-1.5, 1.75]], "fgd-goal");
      hill.words(-1.5, 1.5, words.saddle, "", "start").setAttribute("dx", 5);
      hill.words(1, -1.62, words.minimum, "", "middle");
      const tilt = this.tilt;
      if (tilt !== null) {
        const shift = -tilt * tracks[0][k]; // the batch's cost, through the run's own place
        hill.line(grid.map((t) => [t, model.cost(t, tilt) + shift]), "fgd-pull");
      }
      hill.line(grid.map((t) => [t, model.cost(t)]), "fgd-curve");
      for (const track of tracks) hill.dot(track[k], model.cost(track[k]), 4.2, "fgd-ball");
      hill.dot(now, model.cost(now), 6, "fgd-whole");
      ways.clear();
      ways.line([[0, -1.5], [500, -1.5]], "fgd-goal");
      for (const track of tracks) ways.line(track.map((t, i) => [i, t]), "fgd-one");
      ways.line(whole.map((t, i) => [i, t]), "fgd-all");
      ways.words(500, -1.5, words.saddle, "", "end").setAttribute("dy", -5);
      ways.words(500, -2.4, words.runs(settings.batch), "fgd-blue", "end");
      ways.words(500, -2.8, words.all(model.n), "fgd-orange", "end");
      const end = show(now, 5);
      this.status.textContent = k ? words.saddleDid(k, past, settings.batch, end, model.n) : words.saddleReady;
      hill.svg.setAttribute("aria-label", words.hillLabel(past));
      ways.svg.setAttribute("aria-label", words.thetaLabel(end));
    }
  }

  const EPOCHS = 30;

  /** A learning rate that falls, beside a large one and a small one; single samples on a line. */
  class ScheduleFigure extends Figure {
    makeModel(data) {
      return new Line(data);
    }

    addInputs() {
      const kinds = Object.keys(this.words.kinds);
      this.input("schedule", this.words.schedule, kinds, "step", (kind) => this.words.kinds[kind], true);
      this.input("rate", this.words.rate, [0.02, 0.05, 0.1, 0.2], 0.1);
      this.input("seed", this.words.seed, SEEDS, 0);
    }

    addPanels() {
      const { words } = this;
      const shared = { x: [0, EPOCHS], xlabel: words.epochs, xticks: every(10), yticks: decades([1]), log: true };
      this.rates = new Panel(this.panels, { ...shared, title: words.rates, y: [5e-5, 0.4], ylabel: "" });
      this.excess = new Panel(this.panels, { ...shared, title: words.excess, y: [5e-5, 10], ylabel: "" });
    }

    reset() {
      const { rate, seed, schedule } = this.settings;
      this.runs = [["constant", rate, "fgd-high"], ["constant", rate / 100, "fgd-low"], [schedule, rate, "fgd-main"]].map(
        ([kind, base, look]) => ({
          kind, base, look, theta: [0, 0], batches: new Batches(this.model.n, 1, "shuffle", seed),
          rates: [], above: [this.model.cost([0, 0]) - this.model.least],
        }),
      );
    }

    get done() {
      return this.runs[0].rates.length >= EPOCHS;
    }

    get pause() {
      return 120;
    }

    get pace() {
      return 1;
    }

    advance() {
      if (this.done) return;
      for (const run of this.runs) {
        const rate = SCHEDULES[run.kind](run.base, run.rates.length, EPOCHS);
        for (let k = 0; k < this.model.n; k++) run.theta = this.model.step(run.theta, run.batches.next(), rate);
        run.rates.push(rate);
        run.above.push(this.model.cost(run.theta) - this.model.least);
      }
    }

    draw() {
      const { rates, excess, words, runs } = this;
      const { rate } = this.settings;
      rates.clear();
      excess.clear();
      for (const run of runs) {
        const steps = run.rates.flatMap((value, k) => [[k, value], [k + 1, value]]);
        rates.line(steps, run.look);
        excess.line(run.above.map((value, k) => [k, value]), run.look);
      }
      excess.words(EPOCHS, 6.3, words.high(show(rate)), "fgd-orange", "end");
      excess.words(EPOCHS, 2.5, words.low(show(rate / 100)), "fgd-grey", "end");
      excess.words(EPOCHS, 1.0, words.falls, "fgd-blue", "end");
      const epochs = runs[0].rates.length;
      const ends = runs.map((run) => show(mean(run.above.slice(-5)), 2));
      this.status.textContent = epochs ? words.scheduleDid(epochs, ...ends) : words.scheduleReady;
      const last = runs[2].rates;
      rates.svg.setAttribute("aria-label", words.rateLabel(show(epochs ? last[epochs - 1] : rate)));
      excess.svg.setAttribute("aria-label", words.excessLabel(ends[2]));
    }
  }

  const FIGURES = { line: LineFigure, saddle: SaddleFigure, schedules: ScheduleFigure };

  function begin() {
    for (const root of document.querySelectorAll(".fgd-figure")) {
      const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
      new FIGURES[root.dataset.figure](root, data);
    }
  }

  window.fastgdFigures = { Batches, Line, Quintic, SCHEDULES };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
