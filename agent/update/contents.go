package update

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"dhow/agent/backup"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/manifest"
)

// contents is what belongs into a portable backup of a release that runs.
type contents struct {
	info    backupInfo
	trees   []backup.Tree
	servers []database.Server
}

// contents looks at the running stack: databases are dumped, everything else that services may write to is copied.
func (m *Manager) contents(ctx context.Context, g Good, containers []engine.Container) (c contents, err error) {
	s, err := m.side(ctx, g)
	if err != nil {
		return c, err
	}
	c.info = backupInfo{
		Good: g, Volumes: map[string]string{}, Folders: map[string]string{}, Loaded: map[string]string{}, Rows: map[string]int64{},
		Schemas: map[string]string{}, Hidden: map[string]engine.HiddenVolume{},
	}
	for _, v := range s.project.Volumes() {
		c.info.Volumes[v.Name] = v.Key
	}
	c.servers = serversOf(s.doc, containers)
	all, hidden, err := m.data(ctx, containers, s.project, s.doc)
	if err != nil {
		return c, err
	}
	others, err := m.otherFolders(false)
	if err != nil {
		return c, err
	}
	all = withoutTwins(append(all, others...))
	for _, v := range hidden {
		c.info.Hidden[v.Name] = v
		if service := mountedBy(v.Name, "", containers, s.doc); service != "" && atDataFolder(v.Name, containers) {
			c.info.Loaded[v.Name] = service
		}
	}
	for _, tree := range all {
		if tree.Name == bindName(tree.Path) {
			c.info.Folders[tree.Name] = tree.Path
		}
		if service := dumpedInto(tree, containers, s.doc); service != "" {
			c.info.Loaded[tree.Name] = service
			continue
		}
		if holdsDatabase(tree.Path, 2) {
			return c, refuse("name the server under x-dhow.databases of the release, or give the volume backup: none; exact copies are made at every update",
				"%s holds the files of a database server that dhow does not know: they can't be copied while it runs", partName(tree.Name)).In("database_unknown", "part", partName(tree.Name))
		}
		c.trees = append(c.trees, tree)
	}
	return c, nil
}

// withoutTwins leaves out a folder that is there already, by itself or inside another one.
func withoutTwins(trees []backup.Tree) (list []backup.Tree) {
	for i, t := range trees {
		twin := slices.ContainsFunc(trees[:i], func(o backup.Tree) bool { return inside(t.Path, o.Path) })
		if !twin {
			list = append(list, t)
		}
	}
	return list
}

// dumpedInto returns the database service whose data a volume holds, "" for any other volume: the files of a running server can't be copied,
// and its dump says the same.
func dumpedInto(tree backup.Tree, containers []engine.Container, r *manifest.Release) string {
	service := mountedBy(tree.Name, tree.Path, containers, r)
	if service == "" || !holdsDatabase(tree.Path, 2) {
		return ""
	}
	return service
}

// atDataFolder reports whether a volume is mounted where database servers keep their data.
func atDataFolder(volume string, containers []engine.Container) bool {
	return slices.ContainsFunc(containers, func(c engine.Container) bool {
		return slices.ContainsFunc(c.Mounts, func(m engine.Mount) bool {
			return m.Name == volume && inside(m.Destination, "/var/lib/mysql", "/var/lib/postgresql", "/bitnami")
		})
	})
}

// mountedBy returns the database service that alone mounts a volume or folder, else "".
func mountedBy(name, path string, containers []engine.Container, r *manifest.Release) string {
	service := ""
	for _, c := range containers {
		for _, mount := range c.Mounts {
			if c.OneOff || mount.ReadOnly || mount.Name != name && filepath.Clean(mount.Source) != path {
				continue
			}
			if !slices.ContainsFunc(r.Databases, func(db manifest.Database) bool { return db.Service == c.Service }) {
				return "" // somebody else writes there too
			}
			service = c.Service
		}
	}
	return service
}

// holdsDatabase looks for what a database server keeps at the top of its data folder.
func holdsDatabase(dir string, depth int) bool {
	for _, mark := range []string{"PG_VERSION", "ibdata1", "aria_log_control", "mysql.ibd"} {
		if info, err := os.Lstat(filepath.Join(dir, mark)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	if depth == 0 {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.IsDir() && holdsDatabase(filepath.Join(dir, e.Name()), depth-1) {
			return true
		}
	}
	return false
}
