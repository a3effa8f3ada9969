package update

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/engine"
)

// EmptyFolder is the hidden command with which dhow, sent into a container, empties a volume whose files it can't reach.
const EmptyFolder = "empty-folder"

// slowly says of volumes what their way of being copied costs.
func slowly(names []string) string {
	return fmt.Sprintf("volume %s can only be copied through the engine, with the doors closed: slower, and without extended attributes, ACLs, holes "+
		"and fractions of seconds", strings.Join(names, ", "))
}

// hidden describes the volumes that can only be copied through the engine. Those in memory hold nothing that a stopped stack would keep.
func (m *Manager) hidden(ctx context.Context, name string) ([]engine.HiddenVolume, error) {
	v, err := m.Engine.Hidden(ctx, name)
	if err != nil {
		return nil, engineTrouble(err)
	}
	if v.Fleeting() {
		return nil, nil
	}
	return []engine.HiddenVolume{v}, nil
}

// carrierImage is an image that the engine has: any will do to mount a volume.
func (m *Manager) carrierImage(ctx context.Context, p applyPlan) (string, error) {
	goods := []Good{p.To}
	if p.From != nil {
		goods = append(goods, *p.From)
	}
	for _, g := range goods {
		s, err := m.side(ctx, g)
		if err != nil {
			continue // going back, the new release may be gone
		}
		for _, image := range s.images {
			if there, err := m.Engine.HasImage(ctx, image.Config.Digest); err == nil && there {
				return image.Tag, nil
			}
		}
	}
	return "", errors.New("the engine has no image with which a volume could be read")
}

// saveHidden copies the volumes that can only be copied through the engine into the snapshot folder.
func (m *Manager) saveHidden(ctx context.Context, t *change.Task, p applyPlan, dir string, list []engine.HiddenVolume) ([]backup.Stream, error) {
	if len(list) == 0 {
		return nil, nil
	}
	image, err := m.carrierImage(ctx, p)
	if err != nil {
		return nil, err
	}
	var streams []backup.Stream
	for _, v := range list {
		t.Progress(change.Progress{Message: slowly([]string{v.Name}), Said: api.Say("hidden_slow", "volumes", v.Name)})
		r, err := m.Engine.VolumeTar(ctx, v.Name, image)
		if err != nil {
			return nil, engineTrouble(err)
		}
		s, err := backup.SaveStream(ctx, dir, v.Name, r, progressOf(t))
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, space(err)
		}
		if s.About, err = json.Marshal(v); err != nil {
			return nil, err
		}
		streams = append(streams, s)
	}
	return streams, nil
}

// fillHidden puts such volumes back from a complete snapshot, and reads them to see that they hold what they should.
func (m *Manager) fillHidden(ctx context.Context, t *change.Task, p applyPlan, dir string) error {
	s, err := backup.Read(dir)
	if err != nil || len(s.Streams) == 0 {
		return err
	}
	image, err := m.carrierImage(ctx, p)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for _, stream := range s.Streams {
		var v engine.HiddenVolume
		if err := json.Unmarshal(stream.About, &v); err != nil || v.Name != stream.Name {
			return fmt.Errorf("the copy of volume %s does not say what it was: %w", stream.Name, err)
		}
		if err := m.Engine.MakeHidden(ctx, v); err != nil {
			return err
		}
		if err := t.Fault("fill"); err != nil {
			return err
		}
		t.Progress(change.Progress{Message: "volume " + v.Name + " is filled through the engine", Said: api.Say("hidden_filled", "volume", v.Name)})
		r, err := backup.OpenStream(ctx, dir, stream)
		if err != nil {
			return err
		}
		err = m.Engine.FillVolume(ctx, v.Name, image, engine.Eraser{Path: program, Args: []string{EmptyFolder}}, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if err := m.checkHidden(ctx, stream, image); err != nil {
			return err
		}
	}
	return nil
}

// hiddenGone reports whether a volume of a snapshot that can only be reached through the engine is not there any more.
func (m *Manager) hiddenGone(ctx context.Context, name string) (bool, error) {
	s, err := backup.Read(m.backupDir(name))
	if err != nil {
		return false, err
	}
	for _, stream := range s.Streams {
		_, err := m.Engine.Hidden(ctx, stream.Name)
		if errors.Is(err, engine.ErrNoVolume) {
			return true, nil
		}
		if err != nil {
			return false, engineTrouble(err)
		}
	}
	return false, nil
}

func (m *Manager) checkHidden(ctx context.Context, s backup.Stream, image string) error {
	r, err := m.Engine.VolumeTar(ctx, s.Name, image)
	if err != nil {
		return err
	}
	err = backup.CheckStream(ctx, s, r)
	return errors.Join(err, r.Close())
}

// hiddenFiles are the streams of a portable backup for the volumes that can only be reached through the engine.
func (m *Manager) hiddenFiles(ctx context.Context, c *contents, g Good) (files []archive.File) {
	for _, name := range slices.Sorted(maps.Keys(c.info.Hidden)) {
		if c.info.Loaded[name] != "" {
			continue
		}
		files = append(files, archive.File{Name: backupHidden + name, Write: func(w io.Writer) error {
			image, err := m.carrierImage(ctx, applyPlan{To: g})
			if err != nil {
				return err
			}
			r, err := m.Engine.VolumeTar(ctx, name, image)
			if err != nil {
				return engineTrouble(err)
			}
			_, err = io.Copy(w, r)
			return errors.Join(err, r.Close())
		}})
	}
	return files
}

// fillFrom puts such a volume of a portable backup into the volume v of this computer. That of a database server is emptied: its dump
// brings the content.
func (m *Manager) fillFrom(ctx context.Context, backup, volume string, info backupInfo, v engine.HiddenVolume, to side) error {
	image, err := m.carrierImage(ctx, applyPlan{To: to.Good})
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := m.Engine.MakeHidden(ctx, v); err != nil {
		return err
	}
	var nothing bytes.Buffer
	_ = tar.NewWriter(&nothing).Close() // a buffer takes it
	content := io.NopCloser(&nothing)
	if info.Loaded[volume] == "" {
		if content, err = m.Archive.OpenFile(ctx, backup, backupHidden+volume); err != nil {
			return damaged(err)
		}
	}
	err = m.Engine.FillVolume(ctx, v.Name, image, engine.Eraser{Path: program, Args: []string{EmptyFolder}}, content)
	return errors.Join(err, content.Close())
}

// hiddenWarning is for the status: the newest exact copy says which volumes are copied in the slower way.
func (m *Manager) hiddenWarning() (told, error) {
	past, err := m.past()
	if err != nil {
		return told{}, err
	}
	i := slices.IndexFunc(past, func(p Past) bool { return p.Backup != "" })
	if i < 0 {
		return told{}, nil
	}
	s, err := backup.Read(m.backupDir(past[i].Backup))
	if err != nil || len(s.Streams) == 0 {
		return told{}, nil // a copy that can't be read is for others to say
	}
	var names []string
	for _, stream := range s.Streams {
		names = append(names, stream.Name)
	}
	return told{slowly(names), api.Say("hidden_slow", "volumes", strings.Join(names, ", "))}, nil
}
