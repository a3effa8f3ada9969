package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/manifest/trust"
)

// installation is what the command line of install asks for.
type installation struct {
	config      site.Config // empty fields keep what is there
	root        string
	fingerprint string
	set         []string
	settings    string
	adopt       string
	restore     string // a place with backups, or the archive of another disk
	backup      string // its name; the newest when empty
	identity    string
	from        string
	noService   bool
	yes         bool
	withDocker  bool
	user        string // who may use dhow without sudo
}

func (s *shell) installCommand() *cobra.Command {
	var in installation
	cmd := &cobra.Command{
		Use: "install --site NAME (--from BUNDLE | --source SPEC) [--root FILE] [--fingerprint DIGITS]",
		Long: "Looks at the computer, asks what it needs to know, and writes the configuration, the settings and the root of trust. Then it makes the\n" +
			"program, the service, the group dhow and the launcher of the page, and with --from waits until the first release runs and a first\n" +
			"backup is made. Repeated, it repairs what is not right, changes only what is asked for, and says what it has done. It waits while an\n" +
			"update or a backup is under way.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.install(cmd.Context(), in) },
	}
	f := cmd.Flags()
	f.StringVar(&in.config.Site, "site", "", "the name of this computer in the fleet")
	f.StringArrayVar(&in.config.Sources, "source", nil, "where releases come from: oci://HOST/PATH, https://…, or a folder (repeatable)")
	f.StringVar(&in.root, "root", "", "the fleet's root of trust, root.json; without it --fingerprint is needed, and a source that has the root")
	f.StringVar(&in.fingerprint, "fingerprint", "", "what the fingerprint of the root must be, as the central team reads it")
	f.StringVar(&in.config.Project, "project", "", "compose project (default: the release's, or that of the adopted stack)")
	f.StringArrayVar(&in.set, "set", nil, "a setting of this site, NAME=VALUE (repeatable); for passwords --settings is safer")
	f.StringVar(&in.settings, "settings", "", "a .env file with settings of this site")
	f.StringVar(&in.adopt, "adopt", "", "take over the compose stack that already runs from this folder")
	f.StringVar(&in.config.Window, "window", "", `hours in which the system may be away, such as "21:00-05:00"`)
	f.StringVar(&in.config.Fetch, "fetch", "", `when to ask the sources, such as "0 20 * * *"`)
	f.StringVar(&in.config.Engine, "engine", "", "address of the Docker Engine (default: the usual one)")
	f.StringVar(&in.config.Backup.At, "backup", "", `when to make backups by themselves, such as "0 2 * * *", or never`)
	f.StringVar(&in.restore, "restore", "", "begin with the data of a backup: a stick, folder or bucket with copies, or the archive folder of another disk")
	f.StringVar(&in.backup, "restore-name", "", "the backup to begin with (default: the newest there)")
	f.StringVar(&in.identity, "identity", "", "the key of the central team that opens copies: backup.key")
	f.StringVar(&in.from, "from", "", "a bundle, or a stick with one, to take the first release from, and the root of trust where none is given")
	f.BoolVar(&in.noService, "no-service", false, "do not install the service")
	f.BoolVar(&in.withDocker, "with-docker", false, "install the Docker Engine from the distribution's packages where none answers")
	f.StringVar(&in.user, "user", "", "a user who may use dhow without sudo (default: the one who calls sudo, when that is confirmed)")
	f.BoolVar(&in.yes, "yes", false, "ask nothing; a root of trust that comes from a stick or a source still needs --fingerprint")
	return cmd
}

// install checks everything, and asks everything, before it writes anything. The configuration is written last: with it the site exists.
func (s *shell) install(ctx context.Context, in installation) error {
	paths := s.paths()
	if s.prefix == "" && os.Geteuid() > 0 {
		return api.Fail(api.CodeUsage, "try it with sudo", "only root can make this computer a site").In("install-root")
	}
	var begin *beginning
	var err error
	if in.from != "" {
		if in.from, err = filepath.Abs(in.from); err != nil {
			return err
		}
	}
	if in.restore != "" {
		if begin, err = s.fetchBackup(ctx, paths, in); err != nil {
			return err
		}
	}
	config, err := s.wanted(paths, in, begin)
	if err != nil {
		return err
	}
	docker, address, err := s.checkMachine(ctx, paths, config, in)
	if err != nil {
		return err
	}
	p := s.newPatient(paths, config)
	if err := s.examineMachine(ctx, p, address); err != nil {
		return err
	}
	root, err := s.checkRoot(ctx, paths.Trust(), config, in)
	if err != nil {
		return err
	}
	next := s.lookAhead(ctx, paths.Trust(), root, config, in)
	s.examineWay(ctx, p, next)
	settings, err := wantedSettings(paths, in, begin)
	if err != nil {
		return err
	}
	if in.adopt == "" && begin == nil {
		if in.adopt, err = s.offerAdopt(ctx, docker, config, in, next); err != nil {
			return err
		}
	}
	if in.adopt != "" {
		if err := s.adoptStack(ctx, docker, in.adopt, config, settings); err != nil {
			return err
		}
	}
	if err := s.askSettings(settings, next); err != nil {
		return err
	}
	if p.doors, err = doorsOf(ctx, docker, config, next, settings); err != nil {
		return err
	}
	if err := s.examineDoors(ctx, p, in.from != ""); err != nil {
		return err
	}

	if s.prefix == "" && !in.noService {
		if _, err := s.awaitIdle(ctx, idleEvery); err != nil {
			return err
		}
	}
	if err := paths.Make(); err != nil {
		return err
	}
	if root != nil {
		if err := trust.Init(paths.Trust(), root); err != nil {
			return trustError(err)
		}
	}
	otherSettings, err := keepSettings(paths, settings)
	if err != nil {
		return err
	}
	s.line("settings", "install.settings", "n", len(settings), "path", paths.Settings())
	otherConfig, err := keepConfig(paths, config)
	if err != nil {
		return err
	}
	s.line("installed", "install.site", "site", config.Site, "path", paths.Config())
	if otherConfig {
		s.line("changed", "install.changed_config")
	}
	if otherSettings {
		s.line("changed", "install.changed_settings")
	}
	if len(config.Sources) == 0 {
		s.line("release", "install.no_sources", "command", s.command("install --source SPEC"))
	}
	if s.prefix != "" || in.noService {
		s.line("service", "install.no_service", "command", s.command("agent"))
		return nil
	}
	return s.live(ctx, config, in, begin != nil, otherConfig || otherSettings)
}

// line prints what is said of one thing, with its name before it.
func (s *shell) line(label, key string, args ...any) {
	s.printf("%s\n", s.lineOf(label, s.say(key, args...)))
}

// labelWidth is that of the column of names.
const labelWidth = 10

func (s *shell) lineOf(label, text string) string {
	label = s.say("install.label." + label)
	return pad(label, max(labelWidth, displayed(label)+1)) + text
}
