package api

// Exit codes of dhow, and the codes of Error. README holds the same table; a test compares them.
const (
	CodeOK           = 0
	CodeInternal     = 1
	CodeUsage        = 2
	CodeRolledBack   = 3
	CodeRefused      = 4
	CodeNotTrusted   = 5
	CodeUnreachable  = 6
	CodeBusy         = 7
	CodeNoAgent      = 8
	CodeStuck        = 9
	CodeNotConfirmed = 10
	CodeUnwell       = 11
)

// Codes says in a sentence what each exit code means, in the order of the codes.
var Codes = []struct {
	Code    int
	Meaning string
}{
	{CodeOK, "done, or nothing to do"},
	{CodeInternal, "an error that has no code of its own"},
	{CodeUsage, "wrong command line or configuration"},
	{CodeRolledBack, "the update did not work; the old release is running, with its data"},
	{CodeRefused, "refused before any downtime: settings, space, port, engine, architecture, or the release itself"},
	{CodeNotTrusted, "not trusted: forged, stale, damaged, or made for another fleet or site; a backup that is damaged"},
	{CodeUnreachable, "no source answers"},
	{CodeBusy, "another change is under way, or another agent is running"},
	{CodeNoAgent, "the agent is not running"},
	{CodeStuck, "going back could not finish; the maintenance page stays, the agent tries again, call for help"},
	{CodeNotConfirmed, "not confirmed; nothing was done"},
	{CodeUnwell, "dhow doctor has found something that somebody should see to"},
}
