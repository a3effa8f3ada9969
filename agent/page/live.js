(function () {
"use strict";
var body = document.body, url = body.getAttribute("data-live"), edition = body.getAttribute("data-edition");
var now = document.getElementById("now"), lost = document.getElementById("lost"), details = document.querySelector(".details");
var was = {}, state = body.className, title = document.title, gone = false, failing = false;
var source = null, asked = null, silence = 0, again = 0, looks = 0;
function able() {
var x;
try {
x = new XMLHttpRequest();
x.open("GET", url);
x.responseType = "document";
return "onload" in x && "response" in x && x.responseType === "document" && !!body.addEventListener && !!window.JSON;
} catch (e) { return false; }
}
function paint() {
now.hidden = gone;
lost.hidden = !gone;
if (gone !== !!lost.firstChild) { lost.innerHTML = gone ? lost.getAttribute("data-html") : ""; }
if (details) { details.hidden = gone; }
body.className = gone ? "s-unknown" : state;
document.title = gone ? lost.getAttribute("data-title") : title;
}
function wait(ms) {
clearTimeout(silence);
silence = setTimeout(function () { gone = true; paint(); open(); wait(25000); }, ms);
}
function heard() {
failing = gone = false;
paint();
wait(document.hidden ? 150000 : 25000);
}
function failed() {
if (!failing) { failing = true; wait(5000); }
}
function put(id, html) {
var at = document.getElementById(id), had = document.activeElement, fresh, focus;
if (!at || was[id] === html) { return; }
was[id] = html;
fresh = at.cloneNode(false);
fresh.innerHTML = html;
if (fresh.innerHTML === at.innerHTML) { return; }
focus = had && at.contains(had);
at.innerHTML = html;
if (focus) { point(document.getElementById(had.id)); }
}
function point(at) {
if (!at || at.id === "title") {
at = document.getElementById("title");
at.setAttribute("tabindex", "-1");
}
at.focus();
}
function print() {
var at = document.getElementById("print"), b = at.firstChild;
if (!b) {
b = document.createElement("button");
b.type = "button";
b.className = "quiet";
b.appendChild(document.createTextNode(at.getAttribute("data-label")));
b.onclick = function () { window.print(); };
at.appendChild(b);
}
b.hidden = !document.querySelector("#receipt dl");
}
function take(said) {
var id;
if (said.edition !== edition) { location.reload(); return; }
state = "s-" + said.state;
title = said.title;
for (id in said.parts) { put(id, said.parts[id]); }
print();
heard();
}
function stop() {
clearTimeout(again);
if (source) { source.close(); source = null; }
if (asked) { asked.onload = asked.onerror = asked.ontimeout = null; asked.abort(); asked = null; }
}
function open() {
stop();
looks = 12;
if (document.hidden || !window.EventSource) { look(); return; }
source = new EventSource(url);
source.addEventListener("page", function (e) { take(JSON.parse(e.data)); });
source.addEventListener("beat", heard);
source.onerror = function () {
failed();
if (this.readyState === 2) { look(); }
};
}
function look() {
stop();
asked = new XMLHttpRequest();
asked.open("GET", location.href);
asked.responseType = "document";
asked.timeout = 15000;
asked.onload = function () { read(this.status === 200 && this.response); next(); };
asked.onerror = asked.ontimeout = function () { failed(); next(); };
asked.send();
}
function read(page) {
var parts = {}, i, at, list = body.getAttribute("data-parts").split(" ");
if (!page || !page.body.getAttribute("data-edition")) { failed(); return; }
for (i = 0; i < list.length; i++) { at = page.getElementById(list[i]); if (at) { parts[list[i]] = at.innerHTML; } }
take({edition: page.body.getAttribute("data-edition"), state: page.body.className.slice(2), title: page.title, parts: parts});
}
function next() {
asked = null;
looks--;
again = setTimeout(document.hidden || looks > 0 ? look : open, document.hidden ? 60000 : 5000);
}
if (!able()) {
// An old browser takes the page again, as without scripts.
setTimeout(function () { location.reload(); }, 1000 * body.getAttribute("data-refresh"));
return;
}
document.addEventListener("visibilitychange", function () {
if (document.hidden) { stop(); looks = 12; next(); wait(150000); } else { open(); wait(10000); }
});
document.addEventListener("submit", stop);
print();
open();
wait(25000);
}());
