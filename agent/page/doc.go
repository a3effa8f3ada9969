// Package page is the page that people at a site see: one sentence, one colour with its symbol and word, and at most one button and one beside it.
//
// It promises
//
//   - that it says what the agent says now, or that there is no answer: with JavaScript a stream that fell silent is said at once, without it the browser's
//     own refresh fails visibly;
//   - that it is green only when the agent names no need and says how the release runs and what should run;
//   - that it works without JavaScript, in old browsers, with keyboard, screen reader and at 400 % (WCAG 2.2 AA), in every language of package words and
//     both directions of writing;
//   - that the whole is one document of at most MaxBytes, with one style sheet and one script that its content security policy names by their
//     hashes, and nothing from anywhere else;
//   - that whatever comes from outside (notes of releases, labels of sticks, reasons) is text: escaped, cut short, and without what would turn or hide the text around it;
//   - that at most maxStreams follow it live, each for streamLife; who comes later is told to ask again in a while, and nothing is asked of the agent
//     more often than the quickest of them needs.
//
// view.go is what there is to say: a pure function of the agent's answers, the language and the hour. page.html is how it looks. A "done" stays until a person presses
// OK or for twelve hours, a "did not work" for seven days (note.go). Nothing is kept in the browser: a chosen language is carried along in the links.
//
// Who may ask, from where, and with which PIN belongs to package guard, which stands in front of it. Routes: GET / (the page), GET /details (the same with all
// details open, to print), GET /live (server-sent events), POST /update, POST /later, POST /seen.
package page
