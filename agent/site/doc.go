// Package site knows the computer that Dhow runs on: where its files are, who it is, its hours, its settings, its free space, and that
// only one agent works on it.
//
// It promises that the configuration and the settings are read completely or refused with the place of the mistake, that no value of
// a setting appears in an error, and that files are replaced whole. It leaves the meaning of sources, projects and releases to others.
// Everything that depends on the hour is a pure function of a time that the caller passes.
//
// Configuration, /etc/dhow/dhow.yaml (unknown keys are refused):
//
//	site: kin-001                 # who I am, as in the fleet
//	sources:                      # where releases come from: bytes from the nearest first, news from the farthest, else in this order
//	  - oci://registry.example.org/emr
//	  - /srv/releases
//	mirrors:                      # what stands in for a registry among the sources, HOST[:PORT][/PREFIX]; http:// in front for hosts of the building
//	  docker.io: registry.local:5000
//	project: emr                  # compose project; empty means the release's
//	fetch: "0 20 * * *"           # cron, five fields; empty means the fleet's, or every hour
//	window: "21:00-05:00"         # hours in which the system may be away; empty means the fleet's, or any hour
//	time_zone: Africa/Kinshasa    # of fetch, window, quiet, budget and backups; empty means the fleet's, or the computer's
//	rate: 64 kB/s                 # the most that is fetched over a line (sticks and the building: no limit); empty means the fleet's, or no limit
//	quiet: "08:00-17:00"          # hours in which nothing is fetched from there, several with commas between; empty means the fleet's; never
//	budget:                       # the most that crosses the line, both ways and all included; empty means the fleet's, or any amount
//	  day: 50 MB
//	  month: 1 GB
//	language: fr                  # of pages and notes; empty means the first of the fleet's, or English
//	contact: "+243 000 000 000"   # whom people call
//	engine: unix:///var/run/docker.sock   # empty means DOCKER_HOST, the current docker context, or the usual one; always one of this computer
//	serve: ":8911"                # give what is here to other sites on the LAN; empty means no
//	page:                         # the local page, http://127.0.0.1:8910; off: none
//	  listen: "0.0.0.0:8910"      # also for the network: with TLS, and once a PIN is set (dhow page pin)
//	  hosts: [emr.local]          # names under which it is opened there, besides addresses
//	  cert: /etc/dhow/page.pem    # a certificate and its key; without them the agent makes its own
//	  key: /etc/dhow/page.key
//	metrics: true                 # /metrics for Prometheus at the page's address, for this computer only; or an ADDRESS:PORT of its own
//	hook: [/usr/local/bin/tell]   # a command that is run when something happens
//	notify: off                   # no notifications on the desktop
//	backup:                       # all of it may be left out; then the fleet's policy counts, field by field
//	  at: "0 2 * * *"             # cron, or never; empty means every night at two
//	  drill: "0 3 1 * *"          # when the newest backup is restored beside the system, to try it
//	  keep: 14                    # how many of the newest stay
//	  days: 60                    # and how old they may get
//	  space: 20 GB                # and how much all of them may take
//	  folders: [/srv/scans]       # data that the stack does not write: in portable backups only
//	  copies: [/media/backup, "s3://s3.example.org/emr-backups"]
//	sticks:                       # or: off
//	  watch: [/media, /mnt, /run/media]  # below which sticks are mounted; empty means these
//	  folder: /srv/updates        # a folder into which people copy bundles
//	restore:                      # a new computer for a burnt one: begin with this backup
//	  backup: 2026-11-21T020004-0042
//	  from: /media/usb
//	adopt:                        # a stack that ran here before Dhow
//	  dir: /opt/emr
//	  files: [compose.yaml]
//	  project: emr
//
// Settings, /etc/dhow/site.env, win over those that the fleet gives to a ring or a site: the .env syntax of compose, mode 0600; values and secrets of this site that never leave it.
package site
