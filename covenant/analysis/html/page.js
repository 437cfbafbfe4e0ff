"use strict";
(() => {
  const data = JSON.parse(document.getElementById("numbers").textContent);
  const line = data.timeline, count = line.start.length, total = Math.max(1, data.total);
  const canvas = document.getElementById("canvas"), told = document.getElementById("told"), left = 90, top = 8;
  let from = 0, until = total, hovered = -1, dragged = null;
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hue = layer => `hsl(${(layer * 47) % 360} 55% ${matchMedia("(prefers-color-scheme: dark)").matches ? 60 : 50}%)`;
  const rows = data.engines.length;

  function sized() {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = Math.max(120, rows * 38 + 40);
    canvas.style.height = height + "px";
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return [context, width, height];
  }
  function draw() {
    const [context, width, height] = sized(), scale = (width - left) / (until - from);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let row = 0; row < rows; row++) {
      context.fillStyle = colour("--box"); context.fillRect(left, top + row * 38, width - left, 30);
      context.fillStyle = colour("--ink"); context.fillText(data.engines[row], 4, top + row * 38 + 15, left - 8);
    }
    context.save(); context.beginPath(); context.rect(left, 0, width - left, height); context.clip();
    for (let number = 0; number < count; number++) {
      const start = line.start[number], end = line.retire[number] + 1;
      if (end < from || start > until) continue;
      const x = left + (start - from) * scale, wide = Math.max(.6, (end - start) * scale);
      context.fillStyle = number === hovered ? colour("--ink") : hue(line.layer[number]);
      context.fillRect(x, top + line.engine[number] * 38 + 3, wide > 3 ? wide - .5 : wide, 24);
    }
    if (hovered >= 0 && line.awaited[hovered] >= 0) {
      const other = line.awaited[hovered];
      context.strokeStyle = colour("--bad"); context.lineWidth = 2; context.beginPath();
      context.moveTo(left + (line.retire[other] + 1 - from) * scale, top + line.engine[other] * 38 + 15);
      context.lineTo(left + (line.start[hovered] - from) * scale, top + line.engine[hovered] * 38 + 15); context.stroke();
    }
    context.restore();
    const step = Math.pow(10, Math.floor(Math.log10((until - from) / 4))), base = top + rows * 38 + 12;
    context.fillStyle = colour("--soft");
    for (let cycle = Math.ceil(from / step) * step, drawn = -1e9; cycle <= until; cycle += step) {
      const x = left + (cycle - from) * scale;
      if (x - drawn < 90) continue;
      drawn = x; context.fillRect(x, base - 10, 1, 6); context.fillText(Math.round(cycle).toLocaleString("en"), x + 3, base);
    }
  }
  function view(a, b) {
    const span = Math.min(total, Math.max(20, b - a));
    from = Math.min(Math.max(0, a), total - span); until = from + span; draw();
  }
  function zoom(factor, at) { const span = (until - from) * factor; view(at - (at - from) * factor, at - (at - from) * factor + span); }
  const cycleAt = x => from + (x - left) / (canvas.clientWidth - left) * (until - from);
  function tell(number) {
    if (number === hovered) return;
    hovered = number;
    if (number < 0) told.innerHTML = "&nbsp;";
    else {
      const cause = line.cause[number] < 0 ? "its engine was busy until then" : line.causes[line.cause[number]];
      const awaited = line.awaited[number] >= 0 ? ` (instruction ${line.awaited[number]} of ${data.engines[line.engine[line.awaited[number]]]})` : "";
      told.textContent = `instruction ${number} on ${data.engines[line.engine[number]]}: ${line.layer[number] >= 0 ? data.layers[line.layer[number]] : "-"}, tile ${line.tiles[line.tile[number]]}, `
        + `cycles ${line.start[number].toLocaleString("en")} to ${line.retire[number].toLocaleString("en")}; started when: ${cause}${awaited}`;
    }
    draw();
  }
  function under(x, y) {
    const row = Math.floor((y - top) / 38), cycle = cycleAt(x);
    if (row < 0 || row >= rows || x < left) return -1;
    let best = -1;
    for (let number = 0; number < count; number++)
      if (line.engine[number] === row && line.start[number] <= cycle && cycle <= line.retire[number] + 1) best = number;
    return best;
  }
  canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : .8, cycleAt(event.offsetX)); }, { passive: false });
  canvas.addEventListener("pointerdown", event => { dragged = [event.offsetX, from]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", event => {
    if (dragged) { const span = until - from, a = dragged[1] - (event.offsetX - dragged[0]) / (canvas.clientWidth - left) * span; view(a, a + span); }
    else tell(under(event.offsetX, event.offsetY));
  });
  canvas.addEventListener("keydown", event => {
    const span = until - from, middle = (from + until) / 2;
    const act = { ArrowLeft: () => view(from - span / 5, until - span / 5), ArrowRight: () => view(from + span / 5, until + span / 5), "+": () => zoom(.7, middle), "=": () => zoom(.7, middle),
      "-": () => zoom(1 / .7, middle), "0": () => view(0, total), ArrowDown: () => tell(Math.min(count - 1, hovered + 1)), ArrowUp: () => tell(Math.max(0, hovered - 1)) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();

  const room = document.getElementById("occupancy"), svg = "http://www.w3.org/2000/svg";
  for (const [name, used] of Object.entries(data.occupancy)) {
    const figure = document.createElement("figure"), picture = document.createElementNS(svg, "svg"), area = document.createElementNS(svg, "polygon"), caption = document.createElement("figcaption");
    const size = Math.max(1, data.sizes[name]), most = Math.max(...used);
    picture.setAttribute("viewBox", "0 0 300 90"); picture.setAttribute("role", "img"); picture.setAttribute("aria-label", `${name}: at most ${most} of ${size} bytes`);
    area.setAttribute("class", "area");
    area.setAttribute("points", `0,90 ${used.map((value, i) => `${(i / Math.max(1, used.length - 1) * 300).toFixed(1)},${(90 - 86 * value / size).toFixed(1)}`).join(" ")} 300,90`);
    picture.append(area);
    caption.textContent = `${name}: at most ${most.toLocaleString("en")} of ${size.toLocaleString("en")} bytes (${(100 * most / size).toFixed(0)}%)`;
    figure.append(picture, caption); room.append(figure);
  }
})();
