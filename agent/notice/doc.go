// Package notice tells people who do not look at the page: by a notification on the desktops of those who are logged in, and by a command of the
// site's own (hook in dhow.yaml) that may send a message or ring a bell.
//
// # What is told
//
// An update is ready, has begun, is done, was rolled back; something needs a person (a Need of package api, or an update that is refused); another version of Dhow itself
// runs, or did not work here. See Events: it compares what the site says now with what was told.
//
// It is told once at most, also over restarts: what was told is kept before anything is told. An event that nobody could be told of, because the power went or
// the hook failed, is not told again; the page and the history have it. A need is told when it has stood for a minute, and again only when it has been
// gone for an hour.
//
// # The hook
//
// It is run without a shell, in a process group of its own, with nothing of the agent's environment but PATH, and with DHOW_EVENT (ready, started, done,
// rolled-back, needs-you, agent-done or agent-failed), DHOW_SITE, DHOW_FROM, DHOW_TO, DHOW_RECEIPT, DHOW_REASON_KIND (the kind of a need, or "refused") and DHOW_TEXT (the sentence in the
// site's language). An Event as JSON is on its standard input. There are no secrets in either, and no causes from logs of the stack. After half a minute it is killed, with all of
// its process group (what it has put into a session of its own goes on); the first bytes of what it printed go to the log. Events wait for each other; nothing waits for a hook.
//
// # The desktop
//
// On Linux: on every session bus at /run/user/UID/bus org.freedesktop.Notifications is asked to show the sentence. A session bus lets in its own user only,
// so one thread takes that user's effective id while it connects. notify-send does the same, but is not there on small desktops, and a library for D-Bus believes lengths
// that a user's bus may make up; the one call that is needed is small (bus_linux.go), and reads little. On other systems there is the hook only.
package notice
