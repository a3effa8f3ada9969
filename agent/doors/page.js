(function () {
  "use strict";
  var every = 5000;
  if (!window.fetch || !window.DOMParser) {
    setTimeout(function () { location.reload(); }, every);
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
    }).catch(function () {}); // nobody answers for a moment while the system comes back
  }, every);
})();
