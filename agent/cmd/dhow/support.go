package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/support"
	"dhow/bundle/durable"
)

// supportTime bounds the making of a support file: an examination, and a little more.
const supportTime = doctorTime + 20*time.Second

// supported is what support prints with --json.
type supported struct {
	File  string   `json:"file"`
	Bytes int      `json:"bytes"`
	Parts []string `json:"parts"`
	Left  []string `json:"left_out,omitempty"`
}

func (s *shell) supportCommand() *cobra.Command {
	var out, to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "support [-o FILE | --to FOLDER]",
		Long: "help.long.support",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out != "" && to != "" {
				return api.Fail(api.CodeUsage, "see: dhow support --help", "give -o FILE or --to FOLDER, not both").In("support_both")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), supportTime)
			defer cancel()
			done, err := s.support(ctx, out, to)
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(done)
			}
			s.sayln("support.written", "file", done.File, "size", s.words.Size(int64(done.Bytes)))
			s.sayln("support.give")
			if len(done.Left) > 0 {
				s.sayln("support.left", "names", s.words.List(done.Left))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "help.flag.support.output")
	f.StringVar(&to, "to", "", "help.flag.support.to")
	f.BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}

// recipient is the key of the central team that the manifest names.
func (p *patient) recipient() (string, error) {
	if errors.Is(p.trustErr, fs.ErrPermission) {
		return "", p.trustErr // which is no reason to ask the centre for a key
	}
	if p.trust != nil {
		if current, err := p.trust.Current(); err == nil && current.Fleet.Policy.BackupKey != "" {
			return current.Fleet.Policy.BackupKey, nil
		}
	}
	return "", api.Fail(api.CodeRefused, "ask the central team for one (dhowctl key backup, dhowctl publish); till then read out: dhow doctor",
		"this site knows no key of the central team, so nothing was written").In("support_nokey")
}

func (s *shell) support(ctx context.Context, out, to string) (*supported, error) {
	p, err := s.patient(ctx)
	if err != nil {
		return nil, err
	}
	recipient, err := p.recipient()
	if err != nil {
		return nil, err
	}
	now := fault.Now()
	if out == "" {
		name := "site"
		if p.config != nil {
			name = p.config.Site
		}
		out = filepath.Join(to, "dhow-support-"+name+"-"+now.Format("20060102-1504")+".age")
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if _, err := os.Stat(out); err == nil {
		return nil, api.Fail(api.CodeUsage, "choose another name", "%s is there already", out).In("file_there", "file", out)
	}
	parts, err := s.supportParts(ctx, p, now)
	if err != nil {
		return nil, err
	}
	file, left, err := support.Seal(parts, recipient, now)
	if err != nil {
		return nil, api.Fail(api.CodeInternal, "tell the central team", "%v", err).In("support_unsealed", "cause", err.Error())
	}
	if err := durable.WriteFile(out, file, 0o600); err != nil {
		kind, hint := "support_unwritten", "name another place with -o FILE or --to FOLDER"
		if errors.Is(err, os.ErrPermission) {
			kind, hint = "support_closed", "try it with sudo"
		}
		return nil, api.Fail(api.CodeInternal, hint, "cannot write the support file: %v", err).In(kind, "cause", err.Error())
	}
	done := &supported{File: out, Bytes: len(file), Left: left}
	for _, q := range parts[:len(parts)-len(left)] {
		done.Parts = append(done.Parts, q.Name)
	}
	return done, nil
}
