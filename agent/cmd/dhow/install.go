package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/installer"
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
}

func (s *shell) installCommand() *cobra.Command {
	var in installation
	cmd := &cobra.Command{
		Use: "install --site NAME --source SPEC (--root FILE | --fingerprint DIGITS)",
		Long: "Writes the configuration, the settings and the root of trust, and the service where an init system runs.\n" +
			"Repeated, it keeps what is there and changes only what is asked for.",
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
	f.StringVar(&in.from, "from", "", "with --restore: a bundle to take the release from, without a network")
	f.BoolVar(&in.noService, "no-service", false, "do not install the service")
	f.BoolVar(&in.yes, "yes", false, "do not ask about the fingerprint")
	return cmd
}

// install checks everything before it writes anything. The configuration is written last: with it the site exists.
func (s *shell) install(ctx context.Context, in installation) error {
	paths := s.paths()
	var begin *beginning
	if in.restore != "" {
		var err error
		if begin, err = s.fetchBackup(ctx, paths, in); err != nil {
			return err
		}
	}
	config, err := s.wanted(paths, in, begin)
	if err != nil {
		return err
	}
	docker, err := s.checkMachine(ctx, paths, config)
	if err != nil {
		return err
	}
	root, err := s.checkRoot(ctx, paths.Trust(), config, in)
	if err != nil {
		return err
	}
	settings, err := wantedSettings(paths, in, begin)
	if err != nil {
		return err
	}
	if in.adopt != "" {
		if err := s.adoptStack(ctx, docker, in.adopt, config, settings); err != nil {
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
	s.printf("settings  %d in %s, readable by its owner only\n", len(settings), paths.Settings())
	otherConfig, err := keepConfig(paths, config)
	if err != nil {
		return err
	}
	s.printf("installed site %s, configuration in %s\n", config.Site, paths.Config())
	if otherConfig {
		s.printf("changed   the configuration; the agent takes it at once\n")
	}
	if otherSettings {
		s.printf("changed   the settings; the system gets them with the next release\n")
	}
	return s.installService(in)
}

// wanted merges the command line into the configuration that is there.
func (s *shell) wanted(paths site.Paths, in installation, begin *beginning) (*site.Config, error) {
	const hint = "see: dhow install --help"
	config, err := site.LoadConfig(paths.Config())
	if errors.Is(err, fs.ErrNotExist) {
		config, err = &site.Config{}, nil
		if begin != nil {
			config = begin.config
		}
	}
	if err != nil {
		return nil, err
	}
	want := in.config
	switch {
	case want.Site == "" && config.Site == "":
		return nil, api.Fail(api.CodeUsage, hint, "the name of the site is missing: --site NAME")
	case want.Site != "" && config.Site != "" && want.Site != config.Site:
		return nil, api.Fail(api.CodeUsage, "remove "+paths.Config()+" if this computer becomes another site",
			"this computer is site %s already", config.Site)
	case len(want.Sources) == 0 && len(config.Sources) == 0:
		return nil, api.Fail(api.CodeUsage, hint, "where releases come from is missing: --source SPEC")
	}
	if len(want.Sources) > 0 {
		config.Sources = nil
		for _, spec := range want.Sources {
			if !strings.Contains(spec, "://") {
				if spec, err = filepath.Abs(spec); err != nil {
					return nil, err
				}
			}
			config.Sources = append(config.Sources, spec)
		}
	}
	for _, f := range []struct{ to, from *string }{
		{&config.Site, &want.Site},
		{&config.Project, &want.Project},
		{&config.Window, &want.Window},
		{&config.Fetch, &want.Fetch},
		{&config.Engine, &want.Engine},
		{&config.Backup.At, &want.Backup.At},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if begin != nil {
		config.Adopt, config.Restore = nil, &site.Restore{Backup: begin.name, From: begin.from}
	}
	if err := site.CheckName(config.Site); err != nil {
		return nil, api.Fail(api.CodeUsage, hint, "%v", err)
	}
	if _, err := site.ParseWindow(config.Window, config.TimeZone); err != nil {
		return nil, api.Fail(api.CodeUsage, hint, "%v", err)
	}
	if _, err := site.ParseSchedule(config.Fetch, config.TimeZone, config.Site); err != nil {
		return nil, api.Fail(api.CodeUsage, hint, "%v", err)
	}
	return config, nil
}

// checkMachine looks whether a stack could run here at all. What a release needs is checked with the release.
func (s *shell) checkMachine(ctx context.Context, paths site.Paths, config *site.Config) (*engine.Engine, error) {
	address, err := engineOf(config)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(paths.Config()); err != nil && address.From != "" {
		config.Engine = address.Address // the service has another environment than whoever installs it
	}
	docker, err := engine.Connect(address.Address)
	if err != nil {
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err)
	}
	info, err := docker.Info(ctx)
	if errors.Is(err, engine.ErrNotRunning) {
		return nil, api.Fail(api.CodeRefused, "start it (sudo systemctl start docker), or install it (sudo apt-get install docker.io)",
			"the Docker Engine does not answer")
	}
	if err != nil {
		return nil, api.Fail(api.CodeRefused, "look at it with: docker info", "%v", err)
	}
	if !strings.HasPrefix(info.Platform, "linux/") {
		return nil, api.Fail(api.CodeRefused, "use an engine that runs Linux containers", "the engine runs %s containers", info.Platform)
	}
	free, err := site.Free(paths.State())
	if err != nil {
		return nil, err
	}
	s.printf("machine   %s, %s, Docker %s, %s free\n", info.OS, info.Platform, info.Version, size(free))
	if address.From != "" && address.From != site.FromConfig {
		s.printf("engine    %s\n", address)
	}
	return docker, nil
}

// wantedSettings are those that are there or in the backup, then --settings, then --set.
func wantedSettings(paths site.Paths, in installation, begin *beginning) (map[string]string, error) {
	settings, err := site.ReadSettings(paths.Settings())
	if errors.Is(err, fs.ErrNotExist) {
		settings, err = map[string]string{}, nil
		if begin != nil {
			settings = begin.settings
		}
	}
	if err != nil {
		return nil, api.Fail(api.CodeUsage, "correct the file and try again", "%v", err)
	}
	if in.settings != "" {
		more, err := site.ReadSettings(in.settings)
		if err != nil {
			return nil, api.Fail(api.CodeUsage, "correct the file and try again", "%v", err)
		}
		maps.Copy(settings, more)
	}
	for _, s := range in.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "--set wants NAME=VALUE")
		}
		if err := site.CheckSetting(name); err != nil {
			return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err)
		}
		settings[name] = value
	}
	return settings, nil
}

// keepSettings leaves a file that says the same already as people wrote it. other is set when one that was there says something else.
func keepSettings(paths site.Paths, settings map[string]string) (other bool, err error) {
	there, err := site.ReadSettings(paths.Settings())
	if err == nil && maps.Equal(there, settings) {
		return false, site.SecureSettings(paths.Settings())
	}
	return err == nil, site.WriteSettings(paths.Settings(), settings)
}

// keepConfig leaves a file that says the same already as people wrote it. other is set when one that was there says something else.
func keepConfig(paths site.Paths, c *site.Config) (other bool, err error) {
	there, err := site.LoadConfig(paths.Config())
	if err == nil && sameConfig(*there, *c) {
		return false, nil
	}
	return err == nil, c.Save(paths.Config())
}

func sameConfig(a, b site.Config) bool {
	if !slices.Equal(a.Sources, b.Sources) || (a.Adopt == nil) != (b.Adopt == nil) {
		return false
	}
	if a.Adopt != nil && (a.Adopt.Dir != b.Adopt.Dir || a.Adopt.Project != b.Adopt.Project || !slices.Equal(a.Adopt.Files, b.Adopt.Files)) {
		return false
	}
	if !reflect.DeepEqual(a.Backup, b.Backup) || !reflect.DeepEqual(a.Restore, b.Restore) {
		return false
	}
	return a.Site == b.Site && a.Project == b.Project && a.Fetch == b.Fetch && a.Window == b.Window && a.TimeZone == b.TimeZone &&
		a.Language == b.Language && a.Contact == b.Contact && a.Engine == b.Engine
}

func (s *shell) installService(in installation) error {
	byHand := s.command("agent")
	if s.prefix != "" || in.noService {
		s.printf("service   none; run the agent with: %s\n", byHand)
		return nil
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	_ = executable
	if _, _, err = installer.PutProgram(context.Background(), version); err == nil {
		_, err = installer.Install(true)
	}
	if errors.Is(err, installer.ErrNoInit) {
		s.printf("service   none, because %v; run the agent with: %s\n", err, byHand)
		return nil
	}
	if err != nil {
		return err
	}
	s.printf("service   installed and started\n")
	return nil
}
