//go:build e2e

package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/journal"
	sites "dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func good() error { return nil }

var deeds = []deed{
	{"copy ahead", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		return scene{func() error { return backup.CopyAhead(b.ctx, b.snap, b.trees, nil) }, b.unfinished, func() error {
			return errors.Join(b.unfinished(), b.finish(), b.comesBack())
		}}
	}},
	{"finish", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		must(t, backup.CopyAhead(b.ctx, b.snap, b.trees, nil))
		b.grow(t)
		return scene{b.finish, b.unfinished, b.comesBack}
	}},
	{"finish again", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, true)
		must(t, b.finish())
		b.grow(t)
		return scene{b.finish, func() error {
			if err := backup.Verify(b.ctx, b.snap); err != nil && !errors.Is(err, backup.ErrIncomplete) {
				return err
			}
			return nil
		}, b.comesBack}
	}},
	{"verify snapshot", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		must(t, b.finish())
		return scene{func() error { return backup.Verify(b.ctx, b.snap) }, good, b.comesBack}
	}},
	{"restore snapshot", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, true)
		must(t, b.finish())
		want := b.want(t)
		b.grow(t)
		return scene{func() error { return backup.Restore(b.ctx, b.snap, b.trees, nil) }, func() error { return backup.Verify(b.ctx, b.snap) }, func() error {
			return b.holds(want)
		}}
	}},
	{"make backup", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		b.create(t, "old")
		b.grow(t)
		half := func() error { return errors.Join(b.lists("old"), b.archive.Verify(b.ctx, "old", nil)) }
		return scene{func() error {
			_, err := b.archive.Create(b.ctx, contents("new", 2, b.trees, b.dump), nil)
			return err
		}, half, func() error {
			return errors.Join(b.lists("new", "old"), b.backs("old"), b.backs("new"), leftovers(dir))
		}}
	}},
	{"verify backup", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		b.create(t, "old")
		return scene{func() error { return b.archive.Verify(b.ctx, "old", nil) }, good, func() error { return b.backs("old") }}
	}},
	{"restore backup", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		b.create(t, "old")
		want := b.want(t)
		b.grow(t)
		return scene{func() error { return b.archive.Restore(b.ctx, "old", contents("", 0, b.trees, nil).Trees, nil) }, func() error { return b.backs("old") }, func() error {
			return b.holds(want)
		}}
	}},
	{"delete backup", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		b.create(t, "a")
		b.grow(t)
		b.create(t, "b")
		b.grow(t)
		b.create(t, "c")
		return scene{func() error { return b.archive.Delete(b.ctx, "a", "b") }, func() error { return b.backs("c") }, func() error {
			return errors.Join(b.lists("c"), b.backs("c"), leftovers(dir))
		}}
	}},
	{"copy backup", true, func(t *testing.T, dir string) scene {
		b := bed(t, dir, false)
		b.create(t, "old")
		other, err := archive.Open(filepath.Join(dir, "other"))
		must(t, err)
		return scene{func() error {
			objects, err := b.archive.Objects("old")
			for _, o := range objects {
				if err == nil {
					err = transfer(b.ctx, b.archive, other, o)
				}
			}
			return err
		}, func() error {
			list, err := other.List()
			if len(list) > 0 {
				return errors.New("a backup that is not whole is listed")
			}
			return err
		}, func() error { return comesBackFrom(other, "old", filepath.Join(dir, "new"), b.wants["old"]) }}
	}},
	{"store blob", false, func(t *testing.T, dir string) scene {
		return storing(t, dir, func(s *bundle.Store, data []byte) error {
			_, b := one(data)
			return s.Put(context.Background(), b, bytes.NewReader(data))
		})
	}},
	{"import blob", false, func(t *testing.T, dir string) scene {
		return storing(t, dir, func(s *bundle.Store, data []byte) error {
			_, err := s.Import(context.Background(), bytes.NewReader(data), 1<<20)
			return err
		})
	}},
	{"finish blob", true, func(t *testing.T, dir string) scene {
		return storing(t, dir, func(s *bundle.Store, data []byte) error {
			_, b := one(data)
			p, err := s.Partial(context.Background(), b)
			if err != nil {
				return err
			}
			defer p.Close()
			if _, err := p.Write(data[p.Size():]); err != nil {
				return err
			}
			return p.Finish()
		})
	}},
	{"read blob", true, func(t *testing.T, dir string) scene {
		data, b := one(bytesOf(rand.New(rand.NewPCG(1, 1)), 300000))
		s, err := bundle.OpenStore(filepath.Join(dir, "store"))
		must(t, err)
		must(t, s.Put(t.Context(), b, bytes.NewReader(data)))
		read := func() error {
			got, err := s.Read(b, 1<<20)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("another content")
			}
			return err
		}
		return scene{read, good, read}
	}},
	{"write settings", true, func(t *testing.T, dir string) scene {
		path, value := filepath.Join(dir, "site.env"), map[string]string{"A": "old"}
		must(t, sites.WriteSettings(path, value))
		reads := func(want string) func() error {
			return func() error {
				got, err := sites.ReadSettings(path)
				if err == nil && got["A"] != want {
					err = fmt.Errorf("the settings are %v, want %s", got, want)
				}
				return errors.Join(err, leftovers(dir))
			}
		}
		return scene{func() error { return sites.WriteSettings(path, map[string]string{"A": "new"}) }, func() error {
			if reads("old")() != nil && reads("new")() != nil { // a sync of the folder that fails comes after the rename
				return reads("old")()
			}
			return nil
		}, reads("new")}
	}},
	{"stage release", true, func(t *testing.T, dir string) scene {
		folder := filepath.Join(dir, "stacks", "release")
		must(t, durable.MkdirAll(filepath.Dir(folder), 0o700))
		stage := func(text string) error {
			return durable.Dir(folder, 0o700, func(tmp string) error {
				return errors.Join(os.WriteFile(filepath.Join(tmp, "a"), []byte(text), 0o600), os.WriteFile(filepath.Join(tmp, "b"), []byte(text), 0o600))
			})
		}
		must(t, stage("old"))
		holds := func(texts ...string) error {
			got, err := filesOf(folder)
			for _, text := range texts {
				if maps.Equal(got, map[string]string{"a": text, "b": text}) {
					return err
				}
			}
			return fmt.Errorf("the folder holds %v: %w", got, err)
		}
		return scene{func() error { return stage("new") }, func() error { return holds("old", "new") }, func() error {
			return errors.Join(durable.Clean(filepath.Dir(folder)), holds("new"), leftovers(dir))
		}}
	}},
	{"refresh manifest", true, func(t *testing.T, dir string) scene {
		fleet.once.Do(func() {
			f := manifesttest.New(t, "drc")
			f.Assign("kin-001", "pilot", f.AddRelease("1.0.0", nil).Version)
			fleet.root, fleet.old = f.Root, f.Publish()
			f.AddRelease("1.1.0", nil)
			fleet.fresh = f.Publish()
		})
		dir = filepath.Join(dir, "trust")
		must(t, trust.Init(dir, fleet.root))
		c, err := trust.Open(dir, trust.Options{})
		must(t, err)
		_, err = c.Refresh(t.Context(), manifesttest.NewSource(fleet.old), false)
		must(t, err)
		at := func(least, most int64) error {
			c, err := trust.Open(dir, trust.Options{})
			if err != nil {
				return err
			}
			m, err := c.Current()
			if err == nil && (m.Number < least || m.Number > most) {
				err = fmt.Errorf("manifest %d", m.Number)
			}
			return err
		}
		return scene{func() error {
			c, err := trust.Open(dir, trust.Options{})
			if err != nil {
				return err
			}
			if _, err := c.Refresh(context.Background(), manifesttest.NewSource(fleet.fresh), false); err != nil {
				return err
			}
			_, _, err = c.Release(context.Background(), manifesttest.NewSource(fleet.fresh), "1.1.0")
			return err
		}, func() error { return at(1, 2) }, func() error { return errors.Join(at(2, 2), leftovers(dir)) }}
	}},
	// Its reads go through a memory map: what can't be read ends the agent with a signal, and the service starts it again.
	{"save change", false, func(t *testing.T, dir string) scene {
		path := filepath.Join(dir, "journal.db")
		j, err := journal.Open(path)
		must(t, err)
		t.Cleanup(func() { _ = j.Close() })
		must(t, j.Save(&change.Change{ID: 1, Kind: "old"}, nil))
		holds := func(kinds ...string) error {
			c, err := j.Change(1)
			if err != nil {
				return err
			}
			for _, k := range kinds {
				if c != nil && c.Kind == k {
					return nil
				}
			}
			return fmt.Errorf("the journal holds %+v", c)
		}
		return scene{func() error {
			return j.Save(&change.Change{ID: 1, Kind: "new"}, map[string]json.RawMessage{"f": json.RawMessage(`"` + string(bytes.Repeat([]byte("x"), 90000)) + `"`)})
		}, func() error { return holds("old", "new") }, func() error {
			if err := j.Close(); err != nil {
				return err
			}
			j, err = journal.Open(path)
			return errors.Join(err, holds("new"))
		}}
	}},
}

// fleet is made once, as keys take time.
var fleet struct {
	once       sync.Once
	root       []byte
	old, fresh map[string][]byte
}
