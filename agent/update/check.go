package update

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// oldestAPI is that of the oldest engine on which the pipeline was tried (Debian 12's 20.10).
const oldestAPI = "1.41"

// checkSite finds every reason not to begin while nothing has been touched.
func (m *Manager) checkSite(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	good, err := m.good()
	if err != nil {
		return err
	}
	if (good == nil) != (p.From == nil) || good != nil && !good.same(*p.From) {
		return refuse("order it again", "the site has changed since this update was planned").In("site_changed")
	}
	info, err := m.Engine.Info(ctx)
	if err != nil {
		return engineTrouble(err)
	}
	if !versionAtLeast(info.API, oldestAPI) {
		return refuse("install a newer Docker Engine: 20.10 or later",
			"the engine is too old: version %s with API %s; API %s is needed", info.Version, info.API, oldestAPI).In("engine_old", "version", info.Version, "api", info.API, "needed", oldestAPI)
	}
	r, err := m.releaseOf(p.To)
	if err != nil {
		return err
	}
	images, err := m.pin(ctx, p.To, r)
	if err != nil {
		return err
	}
	project, err := m.trial(ctx, p.To, r)
	if err != nil {
		return err
	}
	containers, err := m.Engine.Containers(ctx, p.To.Project)
	if err != nil {
		return engineTrouble(err)
	}
	if p.From == nil && len(containers) > 0 {
		return refuse("take it over with: dhow install --adopt FOLDER, or stop it with: docker compose down",
			"a stack %q that dhow did not start is already here", p.To.Project).In("stack_here", "project", p.To.Project)
	}
	if err := checkData(containers); err != nil {
		return err
	}
	if err := checkBinds(project, r); err != nil {
		return err
	}
	if err := checkPorts(project, containers); err != nil {
		return err
	}
	trees, _, err := m.data(ctx, containers, project, r)
	if err != nil {
		return err
	}
	if err := checkWritable(trees); err != nil {
		return err
	}
	if err := m.checkDatabases(ctx, p, containers); err != nil {
		return err
	}
	if err := m.checkReturn(ctx, t, p); err != nil {
		return err
	}
	needs, err := m.needsOf(ctx, info.Root, images, trees)
	if err == nil && p.Archive != "" {
		var record *archive.Record
		if record, err = m.Archive.Read(p.Archive); err == nil {
			needs = append(needs, need{"the data of the backup", info.Root, record.Bytes})
		}
	}
	if err != nil {
		return err
	}
	return m.checkNeeds(needs)
}

// checkReturn reads every byte of the data that are to be put in place: users are not kept out for a backup that can't be restored.
func (m *Manager) checkReturn(ctx context.Context, t *change.Task, p applyPlan) error {
	if p.Archive != "" {
		return damaged(m.Archive.Verify(ctx, p.Archive, archive.Progress(progressOf(t))))
	}
	if p.ReturnTo != "" {
		return damaged(backup.Verify(ctx, m.backupDir(p.ReturnTo)))
	}
	return nil
}

// trial loads the new release's compose files from a folder that is thrown away: settings, syntax and references are checked before
// anything else is done.
func (m *Manager) trial(ctx context.Context, g Good, r *manifest.Release) (*stack.Project, error) {
	if g.Dir != "" {
		return m.project(ctx, g, r)
	}
	dir, err := os.MkdirTemp(m.Paths.Stacks(), durable.TempPrefix)
	if err != nil {
		return nil, space(err)
	}
	defer os.RemoveAll(dir)
	if err := m.writeRelease(ctx, dir, g, r); err != nil {
		return nil, space(err)
	}
	return m.loadProject(ctx, dir, g, r)
}

// checkData refuses data that an update would lose: anonymous volumes are orphaned when a container is made anew.
func checkData(containers []engine.Container) error {
	for _, c := range containers {
		for _, mount := range c.Mounts {
			if mount.Anonymous && !c.OneOff {
				return refuse("give it a named volume in the compose file, or move the data",
					"service %s keeps data in an anonymous volume at %s, which an update would lose", c.Service, mount.Destination).In("anonymous_volume", "service", c.Service, "path", mount.Destination)
			}
		}
	}
	return nil
}

// checkBinds refuses a folder of data inside the release's own folder: the next release has another one, and the data would stay behind.
func checkBinds(project *stack.Project, r *manifest.Release) error {
	for _, b := range project.Binds() {
		rel, err := filepath.Rel(project.Dir(), b.Source)
		if err != nil || !filepath.IsLocal(rel) || b.ReadOnly {
			continue
		}
		rel = filepath.ToSlash(rel)
		if !slices.ContainsFunc(r.Files, func(f manifest.File) bool { return f.Path == rel || strings.HasPrefix(f.Path, rel+"/") }) {
			return refuse("the compose file should use a named volume for it, or an absolute path",
				"service %s would keep data in ./%s, inside the folder of the release, where the next release can't find them", b.Service, rel).In("data_inside", "service", b.Service, "folder", rel)
		}
	}
	return nil
}

// checkWritable refuses data that could be copied, but never put back: they lie on a disk that is mounted read-only, or where the service may not write.
func checkWritable(trees []backup.Tree) error {
	for _, t := range trees {
		if err := site.Writable(t.Path); err != nil {
			return refuse("mount it read-only in the compose file (:ro) if it holds no data, or move the data, to /srv for example",
				"dhow can't write to the data folder %s, so it could not put the data back: %w", t.Path, err).In("folder_unwritable", "folder", t.Path, "cause", err.Error())
		}
	}
	return nil
}

// checkPorts tries every published port that the running stack does not hold already.
func checkPorts(project *stack.Project, containers []engine.Container) error {
	held := map[string]bool{}
	for _, c := range containers {
		for _, p := range c.Ports {
			held[fmt.Sprintf("%s/%d", p.Protocol, p.HostPort)] = true
		}
	}
	for _, p := range project.Ports() {
		if p.Published == 0 || p.Protocol != "tcp" || held[fmt.Sprintf("%s/%d", p.Protocol, p.Published)] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.Published))))
		if err != nil {
			return refuse("stop the program that uses it, or choose another port in the site's settings",
				"port %d, which service %s publishes, is used by another program", p.Published, p.Service).In("port_taken", "port", strconv.Itoa(int(p.Published)), "service", p.Service)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// data lists the volumes and folders that belong to the snapshot: those that the running stack mounts and those of the new release that exist
// already, without the ones that the release marks as not worth a copy. Volumes that can only be copied through the engine are hidden.
func (m *Manager) data(ctx context.Context, containers []engine.Container, project *stack.Project, r *manifest.Release) (
	trees []backup.Tree, hidden []engine.HiddenVolume, err error,
) {
	skip := map[string]bool{}
	for _, v := range r.Volumes {
		skip[v.Name] = v.Backup == "none"
	}
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, v := range project.Volumes() {
		if skip[v.Key] {
			seen[v.Name] = true
			continue
		}
		add(v.Name)
	}
	for _, c := range containers {
		for _, mount := range c.Mounts {
			if mount.Type == "volume" && !c.OneOff {
				add(mount.Name)
			}
		}
	}
	for _, name := range names {
		path, err := m.Engine.Volume(ctx, name)
		switch {
		case errors.Is(err, engine.ErrHidden):
			more, err := m.hidden(ctx, name)
			if err != nil {
				return nil, nil, err
			}
			hidden = append(hidden, more...)
		case err != nil && !errors.Is(err, engine.ErrNoVolume):
			return nil, nil, engineTrouble(err)
		}
		if path != "" {
			trees = append(trees, backup.Tree{Name: name, Path: path})
		}
	}
	for _, path := range m.boundFolders(containers, project) {
		trees = append(trees, backup.Tree{Name: bindName(path), Path: path})
	}
	return trees, hidden, nil
}

// systemFolders hold no data of a stack; services mount them to look at the computer or to speak with the engine.
var systemFolders = []string{"/", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/tmp", "/usr", "/var"}

// otherFolders lists the folders that the configuration adds to the backups. The stack does not write there, and others may at any time: an
// update neither copies them nor puts them back.
func (m *Manager) otherFolders(missing bool) ([]backup.Tree, error) {
	var trees []backup.Tree
	for _, path := range m.config().Backup.Folders {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			trees = append(trees, backup.Tree{Name: bindName(path), Path: path})
		} else if !missing {
			return nil, refuse("make it, mount it, or take it out of backup.folders in "+m.Paths.Config(), "the data folder %s is not there", path).In("folder_missing", "folder", path, "file", m.Paths.Config())
		}
	}
	return trees, nil
}

// boundFolders lists the folders of this computer that the services of a release may write to: they hold data as much as volumes do. What Dhow has
// staged and what belongs to the system is left out.
func (m *Manager) boundFolders(containers []engine.Container, project *stack.Project) []string {
	var list []string
	add := func(path string) {
		path = filepath.Clean(path)
		if slices.Contains(list, path) || slices.Contains(systemFolders, path) {
			return
		}
		if rel, err := filepath.Rel(m.Paths.State(), path); err == nil && filepath.IsLocal(rel) {
			return
		}
		if info, err := os.Lstat(path); err == nil && info.IsDir() && !inside(path, "/dev", "/proc", "/run", "/sys", "/var/run") {
			list = append(list, path)
		}
	}
	for _, c := range containers {
		for _, mount := range c.Mounts {
			if mount.Type == "bind" && !mount.ReadOnly && !c.OneOff {
				add(mount.Source)
			}
		}
	}
	for _, b := range project.Binds() { // of a container that somebody has removed, or of the release that comes
		if !b.ReadOnly {
			add(b.Source)
		}
	}
	// A folder inside another one of the list is copied with it.
	return slices.DeleteFunc(slices.Clone(list), func(path string) bool {
		return slices.ContainsFunc(list, func(other string) bool { return other != path && inside(path, other) })
	})
}

func inside(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") })
}

// bindName names the copy of a folder in a backup.
func bindName(path string) string {
	return "folder-" + filepath.Base(path) + "-" + digest.FromString(path).Encoded()[:12]
}

// checkDatabases proves that every database of the running release can be dumped: server there, password right. Whoever puts earlier data back may do so
// because the server is broken: then the exact copy of its files has to do.
func (m *Manager) checkDatabases(ctx context.Context, p applyPlan, containers []engine.Container) error {
	servers, err := m.servers(p, containers)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := database.Ping(ctx, m.Engine.Exec, s); err != nil {
			if p.takesBack() {
				m.Log.Warn("no dump of a database before its data go back", "service", s.Service, "error", err)
				continue
			}
			return refuse("an update is only begun when the database can be backed up",
				"database %s can't be backed up: %w", s.Service, err).In("database_unsaved", "service", s.Service, "cause", err.Error())
		}
	}
	return nil
}

// versionAtLeast compares versions of the form "1.41".
func versionAtLeast(have, want string) bool {
	var a, b, c, d int
	if _, err := fmt.Sscanf(have, "%d.%d", &a, &b); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(want, "%d.%d", &c, &d); err != nil {
		return false
	}
	return a > c || a == c && b >= d
}
