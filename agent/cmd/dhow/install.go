package main

import (
	"context"
	"os"
	"os/user"
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
		Use:  "install --site NAME (--from BUNDLE | --source SPEC) [--root FILE] [--fingerprint DIGITS]",
		Long: "help.long.install",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.install(cmd.Context(), in) },
	}
	f := cmd.Flags()
	f.StringVar(&in.config.Site, "site", "", "help.flag.install.site")
	f.StringArrayVar(&in.config.Sources, "source", nil, "help.flag.install.source")
	f.StringVar(&in.root, "root", "", "help.flag.install.root")
	f.StringVar(&in.fingerprint, "fingerprint", "", "help.flag.install.fingerprint")
	f.StringVar(&in.config.Project, "project", "", "help.flag.install.project")
	f.StringArrayVar(&in.set, "set", nil, "help.flag.install.set")
	f.StringVar(&in.settings, "settings", "", "help.flag.install.settings")
	f.StringVar(&in.adopt, "adopt", "", "help.flag.install.adopt")
	f.StringVar(&in.config.Window, "window", "", "help.flag.install.window")
	f.StringVar(&in.config.Fetch, "fetch", "", "help.flag.install.fetch")
	f.StringVar(&in.config.Engine, "engine", "", "help.flag.install.engine")
	f.StringVar(&in.config.Backup.At, "backup", "", "help.flag.install.backup")
	f.StringVar(&in.restore, "restore", "", "help.flag.install.restore")
	f.StringVar(&in.backup, "restore-name", "", "help.flag.install.restore_name")
	f.StringVar(&in.identity, "identity", "", "help.flag.install.identity")
	f.StringVar(&in.from, "from", "", "help.flag.install.from")
	f.BoolVar(&in.noService, "no-service", false, "help.flag.install.no_service")
	f.BoolVar(&in.withDocker, "with-docker", false, "help.flag.install.with_docker")
	f.StringVar(&in.user, "user", "", "help.flag.install.user")
	f.BoolVar(&in.yes, "yes", false, "help.flag.install.yes")
	return cmd
}

// install checks everything, and asks everything, before it writes anything. The configuration is written last: with it the site exists.
func (s *shell) install(ctx context.Context, in installation) error {
	paths := s.paths()
	if s.prefix == "" && os.Geteuid() > 0 {
		return api.Fail(api.CodeUsage, "try it with sudo", "only root can make this computer a site").In("install-root")
	}
	if in.user != "" {
		if _, err := user.Lookup(in.user); err != nil {
			return api.Fail(api.CodeUsage, "give --user the name with which this person logs in here", "this computer has no user %q; nothing was done", in.user).In("install-no_user", "user", in.user)
		}
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
	if s.prefix == "" && !in.noService {
		if _, err := s.awaitIdle(ctx, idleEvery); err != nil { // during an update containers come and go, and their ports
			return err
		}
	}
	if p.doors, err = doorsOf(ctx, docker, config, next, settings); err != nil {
		return err
	}
	if err := s.examineDoors(ctx, p, in.from != ""); err != nil {
		return err
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
