package main

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"dhow/agent/api"
	"dhow/agent/site"
)

// wanted merges the command line into the configuration that is there.
func (s *shell) wanted(paths site.Paths, in installation, begin *beginning) (*site.Config, error) {
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
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "the name of the site is missing: --site NAME").In("site_missing")
	case want.Site != "" && config.Site != "" && want.Site != config.Site:
		return nil, api.Fail(api.CodeUsage, "remove "+paths.Config()+" if this computer becomes another site",
			"this computer is site %s already", config.Site).In("site_other", "site", config.Site, "file", paths.Config())
	case len(want.Sources) == 0 && len(config.Sources) == 0 && in.from == "" && config.Site == "":
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "where releases come from is missing: --source SPEC").In("source_missing")
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
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err).In("value_wrong", site.Problem(err)...)
	}
	if _, err := site.ParseWindow(config.Window, config.TimeZone); err != nil {
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err).In("value_wrong", site.Problem(err)...)
	}
	if _, err := site.ParseSchedule(config.Fetch, config.TimeZone, config.Site); err != nil {
		return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err).In("value_wrong", site.Problem(err)...)
	}
	return config, nil
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
		return nil, api.Fail(api.CodeUsage, "correct the file and try again", "%v", err).In("file_wrong", "cause", err.Error())
	}
	if in.settings != "" {
		more, err := site.ReadSettings(in.settings)
		if err != nil {
			return nil, api.Fail(api.CodeUsage, "correct the file and try again", "%v", err).In("file_wrong", "cause", err.Error())
		}
		maps.Copy(settings, more)
	}
	for _, s := range in.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "--set wants NAME=VALUE").In("set_wrong")
		}
		if err := site.CheckSetting(name); err != nil {
			return nil, api.Fail(api.CodeUsage, "see: dhow install --help", "%v", err).In("setting_name", "cause", err.Error())
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
