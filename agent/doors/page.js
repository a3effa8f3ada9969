(function () {
  "use strict";
  var every = 5000;
  function old() {
    var asked = new XMLHttpRequest();
    asked.onreadystatechange = function () {
      if (asked.readyState === 4 && asked.status >= 200 && (asked.status < 502 || asked.status > 504)) {
        location.reload();
      }
    };
    asked.open("GET", location.href);
    asked.send();
  }
  if (!window.fetch || !window.DOMParser) {
    setInterval(old, every); // and what it says stays as it is until the browser itself loads it anew
    return;
  }
  setInterval(function () {
    fetch(location.href, { cache: "no-store", redirect: "manual", headers: { Accept: "text/html" } }).then(function (answer) {
      if (answer.status < 502 || answer.status > 504) {
        location.reload();
        return;
      }
      return answer.text().then(function (text) {
        var now = document.getElementById("now");
        var next = new DOMParser().parseFromString(text, "text/html").getElementById("now");
        if (next && next.innerHTML !== now.innerHTML) {
          now.innerHTML = next.innerHTML;
        }
      });
    })["catch"](function () {}); // nobody answers for a moment while the system comes back
  }, every);
})();
