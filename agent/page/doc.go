// Package page is the page that people at a site see: one sentence, one colour with its symbol and word, and at most one button and one beside it.
//
// It promises
//
//   - that it says what the agent says now, or that there is no answer: with JavaScript a stream that fell silent is said at once, without it the browser's
//     own refresh fails visibly;
//   - that it is green only when the agent names no need and says how the release runs and what should run;
//   - that an update is not shown as going on while the engine does not answer;
//   - that a stick hides neither what a person must see to nor an update that is ready;
//   - that a telephone number is a link only where nothing else can be meant;
//   - that it works without JavaScript, in old browsers, with keyboard, screen reader and at 400 % (WCAG 2.2 AA), in every language of package words and
//     both directions of writing;
//   - that a browser with an old engine, or without styles, is told nothing that is not so: what only the script knows (that nobody answers, that one can
//     print) is put there by the script; a script that its engine is too old for does nothing but load the page anew; who knows a policy but no nonces runs both (see package guard); colours are plain before they are variables;
//   - that the focus stays where it is while parts are replaced, or goes to the sentence when what had it is gone;
//   - that a receipt is one sheet of paper, with the year;
//   - that the whole is one document of at most MaxBytes, with one style sheet and one script that its content security policy allows by a nonce
//     of each answer, and nothing from anywhere else;
//   - that whatever comes from outside (notes of releases, labels of sticks, reasons) is text: escaped, cut short, and without what would turn or hide the text around it;
//   - that it is followed live, each stream for streamLife; who gets no stream from the guard takes the page again and again, and nothing is asked of the agent
//     more often than the quickest of them needs;
//   - that whoever looks adds nothing to how long others wait: all who wait share one question, but who has ordered something gets an answer from after it.
//
// view.go is what there is to say: a pure function of the agent's answers, the language and the hour. page.html is how it looks. A "done" stays until a person presses
// OK or for twelve hours, a "did not work" for seven days (note.go); what a person has brought since comes before it. What a button installs is what it said, or nothing. Nothing is kept in the browser: a chosen language is carried along in the links.
//
// Who may ask, from where, and with which PIN belongs to package guard, which stands in front of it. Routes: GET / (the page), GET /details (the same with all
// details open, to print), GET /live (server-sent events), POST /update, POST /later, POST /seen.
package page
