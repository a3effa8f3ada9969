// Package e2e holds the end-to-end tests: the two programs, a Docker Engine, a registry and stacks with real data.
//
// The tests carry the build tag e2e and are run by scripts/test, which builds the images of the stacks "clinic" (MariaDB, an
// application, a gateway; folder clinic), "ledger" (two static programs; folder ledger) and "hospital" (the ledger with two MariaDB and
// two PostgreSQL servers; folder hospital), pushes them to a registry on loopback and says where it is: DHOW_E2E_REGISTRY=HOST:PORT. Without an engine or a registry they fail. DHOW_E2E_COMPOSE is a docker
// compose of another version; DHOW_E2E_FIGURES a file to which measured figures are appended.
//
// Everything on the engine is named dhow-e2e-…, and every test removes what it has made. The words of the harness: a Centre is a
// fleet folder with dhowctl, a Site is a folder (dhow --prefix) with an agent that can be killed, a Line is the connection
// to the registry that can be cut, a Watcher is the user who reloads the page all the time, an Engine is a Docker Engine of a test's own that may
// be killed, a Disk a small file system that can be filled.
//
// TestFaults (faults_test.go) lets the agent fail at its fault points in every sort of order: the traces of runs without faults name the points,
// faultPlan pairs them with actions, workers with a site each try one after another, and judge and remains say what is whole and
// clean. A job that failed is tried again with DHOW_FAULTS_ONLY set to its name, or scripts/bench faults --only.
package e2e
