package site

import "strings"

// Key is a key of dhow.yaml, for those who write one. A test holds Keys against what ParseConfig knows.
type Key struct {
	Name    string // "budget.day" stands below "budget"
	Form    string // an example, as it is written; empty for one with keys below it
	Default string // what counts without it; empty when that goes without saying
	Meaning string
}

// fleets is the end of a Default that the fleet may give.
const fleets = "the fleet's, else "

// Keys are all keys, in the order in which a person may read them.
var Keys = []Key{
	{"site", `kin-001`, "", "who this computer is, as in the fleet; the only key that must be there"},
	{"sources", `["oci://registry.example.org/emr", /srv/releases]`, "sticks only", "where releases come from: bytes from the nearest first, news from the farthest, else in this order"},
	{"mirrors", `{docker.io: "registry.local:5000"}`, "", "what stands in for a registry among the sources, HOST[:PORT][/PREFIX]; http:// in front for hosts in the building"},
	{"project", `emr`, "the release's", "the compose project"},
	{"fetch", `"0 20 * * *"`, fleets + "every hour", "when to look for a release: minute, hour, day, month, weekday"},
	{"window", `"21:00-05:00"`, fleets + "any hour", "the hours in which the system may be away"},
	{"time_zone", `Africa/Kinshasa`, fleets + "the computer's", "of fetch, window, quiet, budget and backup"},
	{"rate", `64 kB/s`, fleets + "no limit", "the most that is fetched over a line; sticks and the building have no limit"},
	{"quiet", `"08:00-17:00"`, fleets + "none", "hours in which nothing is fetched over a line, several with commas between"},
	{"budget", "", fleets + "any amount", "the most that crosses the line, both ways and all included"},
	{"budget.day", `50 MB`, "", "in a day of time_zone"},
	{"budget.month", `1 GB`, "", "in a month"},
	{"language", `fr`, "the browser's, for dhow that of the environment, for notes the fleet's first", "of the page, of what dhow prints, of notes"},
	{"contact", `"+243 000 000 000"`, "the fleet's", "whom people call"},
	{"engine", `unix:///var/run/docker.sock`, "DOCKER_HOST, the current docker context, or the usual one", "the Docker Engine, always one of this computer"},
	{"serve", `":8911"`, "no", "give what is here to other sites of the local network"},
	{"page", "", "", "the local page, or: off"},
	{"page.listen", `"0.0.0.0:8910"`, DefaultPage, "also for the network: with TLS, and once a PIN is set (dhow page pin)"},
	{"page.hosts", `[emr.local]`, "", "names under which it is opened there, besides addresses"},
	{"page.cert", `/etc/dhow/page.pem`, "the agent makes its own", "a certificate for the network, with its key"},
	{"page.key", `/etc/dhow/page.key`, "", "belongs to cert"},
	{"metrics", `true`, "none", "/metrics for Prometheus at the page's address, for this computer only; or an ADDRESS:PORT of its own"},
	{"hook", `[/usr/local/bin/tell]`, "none", "a command that is run when something happens, without a shell"},
	{"notify", `off`, "on", "notifications on the desktop"},
	{"backup", "", fleets + "what stands below, key by key", "portable backups"},
	{"backup.at", `"0 2 * * *"`, "every night at two", "when one is made, like fetch; or never"},
	{"backup.drill", `"0 3 1 * *"`, "on the first of every month at three", "when the newest is restored beside the system, to try it; or never"},
	{"backup.keep", `14`, "14", "how many of the newest stay"},
	{"backup.days", `60`, "any age", "how old they may get"},
	{"backup.space", `20 GB`, "what the disk has", "how much all of them may take"},
	{"backup.folders", `[/srv/scans]`, "none", "data that the stack does not write; in portable backups only"},
	{"backup.copies", `[/media/backup, "s3://s3.example.org/emr-backups"]`, "none", "places to which every backup is copied, encrypted"},
	{"sticks", "", "", "where people bring bundles, or: off"},
	{"sticks.watch", `[/media, /mnt, /run/media]`, "these three", "folders below which sticks are mounted"},
	{"sticks.folder", `/srv/updates`, "none", "a folder into which people copy bundles"},
	{"restore", "", "", "a new computer for a burnt one begins with a backup; dhow install --restore writes this"},
	{"restore.backup", `2026-11-21T020004-0042`, "", "its name"},
	{"restore.from", `/media/usb`, "the sources", "a bundle with its release"},
	{"adopt", "", "", "a stack that ran here before Dhow; dhow install --adopt writes this"},
	{"adopt.dir", `/opt/emr`, "", "its folder"},
	{"adopt.files", `[compose.yaml]`, "", "its compose files"},
	{"adopt.project", `emr`, "", "its compose project"},
}

// Reference explains every key; what it shows is a configuration that can be read.
func Reference() string {
	var b strings.Builder
	for _, k := range Keys {
		parent, name, below := strings.Cut(k.Name, ".")
		indent := "  "
		if !below {
			name, indent = parent, ""
			b.WriteString("\n")
		}
		text := k.Meaning
		if k.Default != "" {
			text += ". Without it: " + k.Default
		}
		for line := range strings.Lines(folded(text, 100-len(indent))) {
			b.WriteString(indent + "# " + line)
		}
		b.WriteString(strings.TrimRight(indent+name+": "+k.Form, " ") + "\n")
	}
	return b.String()
}

// folded breaks text into lines of at most so many characters.
func folded(text string, width int) string {
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(text) {
		switch {
		case at == 0:
		case at+1+len(word) > width:
			b.WriteString("\n")
			at = 0
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String() + "\n"
}
