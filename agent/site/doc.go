// Package site knows the computer that Dhow runs on: where its files are, who it is, its hours, its settings, its free space, and that
// only one agent works on it.
//
// It promises that the configuration and the settings are read completely or refused with the place of the mistake, that no value of
// a setting appears in an error, and that files are replaced whole. It leaves the meaning of sources, projects and releases to others.
// Everything that depends on the hour is a pure function of a time that the caller passes.
//
// The configuration is /etc/dhow/dhow.yaml. Keys explains every key, and Reference is the page that people read (dhow help dhow.yaml). Unknown keys are
// refused.
//
// Settings, /etc/dhow/site.env, win over those that the fleet gives to a ring or a site: the .env syntax of compose, mode 0600; values and secrets of this site that never leave it.
package site
