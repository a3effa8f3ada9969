package main

import (
	"github.com/spf13/cobra"

	"dhow/installer/manual"
)

// fleetHelp is the help topic on fleet.yaml: dhowctl help fleet.yaml.
func (a *app) fleetHelp() *cobra.Command {
	return &cobra.Command{Use: "fleet.yaml", Short: "fleet.yaml: every key and what it means", Long: fleetReference, Annotations: map[string]string{manual.Topic: "fleet.yaml(5)"}}
}

// fleetReference describes every key. A test sees to it that none is missing and that the example can be read.
const fleetReference = `fleet.yaml says who runs what. "dhowctl publish" signs what it says; commands that change it keep its comments.
Everything in it can be read by everybody who reaches a source: no passwords.

format: 1                     # of this file
name: drc-emr                 # of the fleet; it never changes

policy:                       # for all sites; a site's own /etc/dhow/dhow.yaml wins, key by key
  fetch: "*/30 * * * *"       # when sites look for something new: minute, hour, day, month, weekday
  window: 21:00-05:00         # when a site may be down for an update; without it at any hour
  timeZone: Africa/Kinshasa   # of the hours here; without it that of each site's computer
  rate: 64 kB/s               # the most that a site fetches over a line; also MB/s, kbit/s, Mbit/s
  quiet: 08:00-17:00          # hours in which nothing is fetched over a line, several with commas between; looking for news goes on
  budget:                     # the most that crosses a metered line, looking for news included
    day: 50 MB
    month: 1 GB
  keep: 3                     # how many earlier releases a site keeps with their data, 2 or more
  backup:                     # portable backups
    at: "0 2 * * *"           # when one is made, or never
    keep: 14                  # how many of the newest stay,
    days: 60                  # how old they may get,
    space: 20 GB              # and how much all of them may take
    drill: "0 3 1 * *"        # when the newest is restored on trial, or never
  languages: [fr, en]         # of what releases say of themselves, the best first
  contact: +243 000 000 000   # whom people at a site call
  # backupKey: age1…          # what copies of backups are encrypted to; dhowctl key backup writes it

agent: 1.4.0                  # the version of dhow itself that sites run; without it they keep what was installed
# agentDowngrade: true        # this agent may take the place of a newer one

rings:
  pilot:
    agent: 1.5.0              # in place of the fleet's; agentDowngrade goes with it
    pin: 1.2.x                # a version (1.2.0), a line (1.2.x or 1.x: its newest release at each publish, pre-releases not),
                              # or previous: what the ring was signed for before its present release
  wave1:
    pin: 1.1.0
    downgrade: true           # this pin may take sites back from a newer release, where the releases permit it (rollback: keep)
    settings:                 # values of variables of the compose file that are no secrets
      CLINIC_LANGUAGE: fr

sites:
  kin-001:
    ring: pilot
  kin-002:
    ring: wave1
    pin: 1.0.0                # in place of the ring's; downgrade goes with it
    hold:                     # the site stays on what it runs
      reason: stock-taking
      since: 2026-11-21
    settings:                 # over those of the ring; site.env at the site wins over both
      CLINIC_NAME: Kinshasa 2

A changed setting counts at a site from the next release on that it takes.
Look before you publish: dhowctl lint, dhowctl diff.
`
