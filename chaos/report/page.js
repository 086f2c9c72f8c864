"use strict";
(() => {
  // Lines are as long as the page: a pointer into one shows what the second there was like.
  const ms = (x) => (x === 0 ? "–" : x < 10 ? x.toFixed(1) + " ms" : x < 1000 ? Math.round(x) + " ms" : (x / 1000).toFixed(2) + " s");
  const word = (name, value) => {
    const span = document.createElement("span");
    span.append(name + " ");
    const b = document.createElement("b");
    b.textContent = value;
    span.append(b, "   ");
    return span;
  };
  for (const line of document.querySelectorAll(".line")) {
    const data = JSON.parse(line.querySelector(".seconds").textContent);
    const tracks = line.querySelector(".tracks"), cursor = line.querySelector(".cursor"), read = line.querySelector(".read");
    const chart = line.querySelector(".chart");
    if (!data.points || data.points.length === 0 || !chart) continue;
    const took = Math.max(data.took, 1);
    const idle = "Point at a second, or use the arrow keys, to read it.";
    read.textContent = idle;
    let at = -1;
    const show = (i) => {
      at = Math.max(0, Math.min(data.points.length - 1, i));
      const p = data.points[at], box = chart.getBoundingClientRect(), outer = tracks.getBoundingClientRect();
      cursor.hidden = false;
      cursor.style.left = box.left - outer.left + box.width * Math.min(1, (at + 0.5) * data.step / took) + "px";
      read.replaceChildren(word("second", p.t), word("requests", p.n), word("failed", p.f), word("p50", ms(p.a)), word("p90", ms(p.b)), word("p99", ms(p.c)), word("slowest", ms(p.m)), word("leader", p.l || "nobody"));
      if (p.h) read.append(word("holder", p.h));
      const now = (data.faults || []).filter((f) => f.from < p.t + data.step && f.to > p.t).map((f) => f.text);
      if (now.length > 0) read.append(word("faults", now.join(", ")));
    };
    const hide = () => { cursor.hidden = true; read.textContent = idle; at = -1; };
    tracks.addEventListener("pointermove", (e) => {
      const box = chart.getBoundingClientRect();
      const x = (e.clientX - box.left) / box.width;
      if (x < 0 || x > 1) return hide();
      show(Math.floor(x * took / data.step));
    });
    tracks.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") hide(); });
    line.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[e.key];
      if (e.key === "Escape") return hide();
      if (step === undefined) return;
      e.preventDefault();
      show(at + step);
    });
  }
  for (const button of document.querySelectorAll(".copy")) {
    const text = button.previousElementSibling.textContent;
    const done = (ok) => {
      button.textContent = ok ? "Copied" : "Select it";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return document.execCommand("copy"); // pages from a file have no clipboard in some browsers
    };
    button.addEventListener("click", () => {
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done(true), () => done(select()));
      else done(select());
    });
  }
  const unfold = () => {
    const fold = location.hash && document.getElementById(location.hash.slice(1))?.querySelector(".fold");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; });
})();
