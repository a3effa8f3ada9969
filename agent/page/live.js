(function () {
"use strict";
var body = document.body, url = body.getAttribute("data-live"), edition = body.getAttribute("data-edition");
var now = document.getElementById("now"), lost = document.getElementById("lost"), details = document.querySelector(".details");
var was = {}, source = null, silence = 0, again = 0, failing = false;
function show(gone) {
now.hidden = gone;
lost.hidden = !gone;
if (details) { details.hidden = gone; }
}
function wait(ms) {
clearTimeout(silence);
silence = setTimeout(function () { show(true); open(); wait(25000); }, ms);
}
function put(id, html) {
var at = document.getElementById(id), had = document.activeElement, fresh, focus;
if (!at || was[id] === html) { return; }
was[id] = html;
fresh = at.cloneNode(false);
fresh.innerHTML = html;
if (fresh.innerHTML === at.innerHTML) { return; }
focus = had && at.contains(had) ? had.id : "";
at.innerHTML = html;
if (focus && document.getElementById(focus)) { document.getElementById(focus).focus(); }
}
function take(e) {
var said = JSON.parse(e.data), id;
if (said.edition !== edition) { location.reload(); return; }
body.className = "s-" + said.state;
document.title = said.title;
for (id in said.parts) { put(id, said.parts[id]); }
print();
heard();
}
function heard() {
failing = false;
show(false);
wait(25000);
}
function print() {
var b = document.querySelector("[data-print]");
if (b) { b.hidden = false; b.onclick = function () { window.print(); }; }
}
function open() {
clearTimeout(again);
if (source) { source.close(); }
source = new EventSource(url);
source.addEventListener("page", take);
source.addEventListener("beat", heard);
source.onerror = function () {
if (!failing) { failing = true; wait(5000); }
if (source.readyState === 2) { clearTimeout(again); again = setTimeout(look, 3000); }
};
}
function look() {
var ask = new XMLHttpRequest();
ask.open("GET", location.href);
ask.timeout = 5000;
ask.onload = function () { if (ask.status === 200) { location.reload(); } else { again = setTimeout(look, 5000); } };
ask.onerror = ask.ontimeout = function () { show(true); again = setTimeout(look, 5000); };
ask.send();
}
print();
if (window.EventSource) { open(); wait(25000); } else { setTimeout(look, 30000); }
}());
