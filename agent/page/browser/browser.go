//go:build e2e

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Tab is a tab of the browser.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Open starts the browser; all tabs of a test are in it. It is ended with the test.
func Open(t testing.TB) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("lang", "en"), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits until it has ended
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("cannot start Chromium (Debian: apt-get install chromium): %v", err)
	}
	return &Tab{t: t, ctx: ctx}
}

// Tab opens a tab of the same browser, in a window of its own: what is behind another tab is not painted, and tests run beside each other.
func (b *Tab) Tab(t testing.TB) *Tab {
	t.Helper()
	var id target.ID
	b.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		id, err = target.CreateTarget("about:blank").WithNewWindow(true).Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		return err
	}))
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	t.Cleanup(cancel)
	tab := &Tab{t: t, ctx: ctx}
	tab.Do(page.BringToFront())
	return tab
}

// Do does something in the tab, for at most half a minute.
func (b *Tab) Do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.Try(actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Try does something that may fail.
func (b *Tab) Try(actions ...chromedp.Action) error {
	// The first run of a tab makes it, and must not have a time of its own: it would end the tab.
	if chromedp.FromContext(b.ctx).Target == nil {
		if err := chromedp.Run(b.ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

// Eval returns what an expression is worth.
func Eval[T any](b *Tab, expression string) (v T) {
	b.t.Helper()
	b.Do(chromedp.Evaluate(expression, &v))
	return v
}

// Look sets how the tab looks: so many pixels wide, and dark or light.
func (b *Tab) Look(width int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.Do(emulation.SetDeviceMetricsOverride(width, 800, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// Speaks sets what the browser of the tab says of its languages.
func (b *Tab) Speaks(languages string) {
	b.t.Helper()
	b.Do(network.Enable(), network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": languages}))
}

// Scripts allows JavaScript, or not.
func (b *Tab) Scripts(on bool) { b.t.Helper(); b.Do(emulation.SetScriptExecutionDisabled(!on)) }

// Until waits until an expression is true, for at most a time.
func (b *Tab) Until(within time.Duration, expression string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; <-tick.C {
		var ok bool
		err := b.Try(chromedp.Evaluate("!!("+expression+")", &ok))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.Shot("failed-" + filepath.Base(b.t.Name()))
			var text string
			_ = b.Try(chromedp.Evaluate("document.body.innerText", &text))
			b.t.Fatalf("waited %s for %s (%v); the page says:\n%s", within, expression, err, text)
		}
	}
}

// Shot keeps a picture of the whole page.
func (b *Tab) Shot(name string) {
	b.t.Helper()
	dir := os.Getenv("DHOW_E2E_SHOTS")
	if dir == "" {
		dir = b.t.TempDir()
	}
	var png []byte
	err := b.Try(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithOptimizeForSpeed(true).Do(ctx)
		return err
	}))
	if err != nil {
		b.t.Errorf("no picture of %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// axeRun looks for violations of WCAG 2.2 AA.
const axeRun = `axe.run(document, {resultTypes: ["violations"], runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}})
.then(r => r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join(" | ")))`

// Axe lists what keeps people from using the page as it is.
func (b *Tab) Axe() []string {
	b.t.Helper()
	path := os.Getenv("DHOW_E2E_AXE")
	if path == "" {
		b.t.Fatal("DHOW_E2E_AXE is not set: run these tests with scripts/test")
	}
	script, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var found []string
	b.Do(chromedp.Evaluate(string(script), nil), chromedp.Evaluate(axeRun, &found, awaited))
	return found
}

// Press types keys.
func (b *Tab) Press(keys string) { b.t.Helper(); b.Do(chromedp.KeyEvent(keys)) }

// Text is what an element says.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(Eval[string](b, fmt.Sprintf("(document.querySelector(%q) || {innerText: ''}).innerText", selector)))
}
