package update

import (
	"maps"
	"slices"

	"dhow/agent/change"
)

// Kinds of changes.
const (
	KindFetch    = "fetch"
	KindApply    = "apply"
	KindRollback = "rollback"
	KindRestore  = "restore" // a rollback to the data of a portable backup
	KindAdopt    = "adopt"

	// Errands touch nothing that runs; see errands.go.
	KindBackup = "backup"
	KindVerify = "verify"
	KindDrill  = "drill"
	KindDelete = "delete"
	KindExport = "export"

	KindBundle = "bundle" // an errand, too: a bundle for neighbours
	KindAgent  = "agent"  // an errand, too: another program of the agent itself, see agent.go
)

// kinds is the whole of what Dhow does, step by step. Handlers in behind(…) run while the doors are closed: after a restart the
// maintenance page comes back before they do anything.
func (m *Manager) kinds() map[string]change.Kind {
	behind := m.behind

	fetch := []change.Step{
		{Name: "refresh-manifest", Do: m.refreshManifest},
		{Name: "plan", Do: m.plan},
		{Name: "fetch-blobs", Do: m.fetchBlobs},
		{Name: "verify", Do: m.verify},
	}

	checkSite := change.Step{Name: "check-site", Do: m.checkSite, Cleanup: m.sweep}
	loadImages := change.Step{Name: "load-images", Do: m.loadImages, Undo: m.unloadImages}
	stageRelease := change.Step{Name: "stage-release", Do: m.stageRelease, Undo: m.unstageRelease}
	copyAhead := change.Step{Name: "copy-ahead", Do: m.copyAhead, Undo: m.dropCopies}
	closeDoors := change.Step{Name: "close-doors", Do: m.patient(m.closeDoors), Undo: behind(m.returnToOld)}
	backUp := change.Step{Name: "back-up", Do: behind(m.backUp)}
	armRestore := change.Step{Name: "arm-restore", Do: behind(m.armRestore), Undo: behind(m.putDataBack)}
	returnData := change.Step{Name: "return-data", Do: behind(m.returnData)}
	startRelease := change.Step{Name: "start-release", Do: behind(m.startRelease), Undo: behind(m.stopRelease)}
	checkHealth := change.Step{Name: "check-health", Do: behind(m.checkHealth)}
	commitRelease := change.Step{Name: "commit-release", Do: behind(m.commitRelease), Commit: true}
	openDoors := change.Step{Name: "open-doors", Do: m.patient(m.openDoors)}

	adopt := []change.Step{
		{Name: "read-stack", Do: m.readStack, Undo: m.forgetStack},
		{Name: "keep-images", Do: m.keepImages},
		{Name: "commit-adopt", Do: m.commitAdopt, Commit: true},
	}

	back := []change.Step{
		checkSite, loadImages, stageRelease, copyAhead, closeDoors, backUp, armRestore, returnData,
		startRelease, checkHealth, commitRelease, openDoors,
	}
	kinds := m.errands()
	maps.Copy(kinds, map[string]change.Kind{
		KindFetch: {Steps: fetch, Ended: m.fetchEnded},
		KindApply: {Steps: []change.Step{
			checkSite, loadImages, stageRelease, copyAhead, closeDoors, backUp, armRestore,
			startRelease, checkHealth, commitRelease, openDoors,
		}, Interruptions: 10, Ended: m.applyEnded},
		KindRollback: {Steps: back, Interruptions: 10, Ended: m.applyEnded},
		KindRestore:  {Steps: back, Interruptions: 10, Ended: m.applyEnded},
		KindAdopt:    {Steps: adopt, Interruptions: 10},
	})
	for name, k := range kinds {
		k.Steps = slices.Clone(k.Steps)
		for i := range k.Steps {
			k.Steps[i].Do, k.Steps[i].Undo = m.roomy(k.Steps[i].Do), m.undoRoomy(k.Steps[i].Undo)
		}
		kinds[name] = k
	}
	return kinds
}
