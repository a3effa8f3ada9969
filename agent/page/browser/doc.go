// Package browser looks at the page as people do, in a real headless Chromium: its tests show every state, look for what keeps people from using it
// (axe-core), press its keys, hear it as a screen reader does, print it, take its JavaScript and its agent away, and keep the pictures. The maintenance
// page of package doors is looked at in the same way.
//
// Everything in it but this comment is built with the tag e2e. scripts/test installs the browser, names axe-core in DHOW_E2E_AXE and the folder of the
// pictures in DHOW_E2E_SHOTS.
package browser
