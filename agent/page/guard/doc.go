// Package guard is the outer shell of the local page: it decides who reaches the handler inside, and what may be asked.
//
// # Where
//
// The page is on the loopback addresses of this computer, 127.0.0.1:8910 and [::1]:8910, in plain HTTP. On the network it is only where
// dhow.yaml says so (page.listen), and then only with TLS and once a PIN is set; else the network is refused with a warning and the loopback
// addresses stay. Plain HTTP from the network is sent on to https and gets nothing else. A connection counts as "here" when both its ends are loopback addresses; everything else is the network, also on a listener
// for all addresses. The configuration is followed without a restart, and a port that is taken is tried again.
//
// # What reaches the handler
//
//   - a Host that is exactly the address that the connection came to, "localhost" on loopback, or one of page.hosts, with the right port: a name
//     that somebody points at this computer (DNS rebinding) is answered with 421;
//   - GET, HEAD, and POST of an ordinary form of at most 4 kB that this page itself sent: by Sec-Fetch-Site or Origin (http.CrossOriginProtection),
//     and in old browsers, which send neither, by Referer;
//   - from the network a POST only with the right PIN in its field "pin", which the handler does not get to see. There are no cookies: the PIN is
//     asked for with every POST.
//
// NeedsPIN says whether forms must ask for the PIN, Trusted whether details may be shown: here, or in the answer to a POST that brought the PIN.
// A request that did not come through a Guard needs the PIN and is not trusted.
//
// # What is sent
//
// Every answer has a content security policy that allows nothing but styles and scripts with the nonce of this answer (see Nonce), and the headers
// beside it (see protect). Browsers older than nonces read 'unsafe-inline' there, so that the page has its colours and follows what happens; what keeps
// foreign text out of the markup in these is only that the page escapes it. There is no Refresh header: no script can call it off, and it would take what is being
// typed, the focus and the open details from everybody else. Referrer-Policy is same-origin and not no-referrer: with that, old browsers would send "Origin: null" with the page's own
// forms. HSTS is not sent: it would make the warning about the agent's own certificate final. What is refused is told in the reader's language.
//
// # Bounds
//
// Connections are counted per address and in all; loopback has a count of its own, so that strangers can't keep out who sits at the computer. So
// are streams (GET /live). Heads, bodies, idle connections and slow readers have times; the page ends a stream after ten minutes, the guard after a quarter
// of an hour, and the browser takes it up again. Only the page itself may ask for one. Nothing that strangers do is written to the log but wrong PINs, and of those few.
//
// # PIN
//
// The file "pin" holds an argon2id hash; it is read anew for every try, and one try is computed at a time. See tries for the delay. A PIN
// has six digits or more; digits of other scripts count as the same digits.
//
// # Files
//
// In Options.Dir, mode 0700: pin, tries.json, cert.pem and key.pem (the agent's own certificate: ECDSA P-256, for page.hosts, without an end
// that would make people learn to accept another one).
package guard
