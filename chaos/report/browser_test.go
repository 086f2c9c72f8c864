//go:build browser

package report

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// For the picture in the README: scripts/browser.sh docs/img/chaos-report.png RUN.json
var (
	picture = flag.String("picture", "", "write a picture of a page to this file")
	of      = flag.String("of", "", "the picture is of this run.json, not of the sample")
)

// browser starts one and gives a context for its tab. What goes wrong in any page is told at the end of the test.
func browser(t *testing.T) (context.Context, *trouble) {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no chromium found: make test-browser installs it (Debian: apt-get install chromium)")
	}
	ctx, stopAll := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(stopAll)
	ctx, stopTab := chromedp.NewContext(ctx)
	w := &trouble{}
	watch := chromedp.Func(func(_ context.Context, tab *chromedp.Target) error { return w.watch(ctx, tab) })
	if err := chromedp.Do(ctx, watch); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser ended with %v", err)
		}
		stopTab()
		w.all.Wait()
		for _, text := range w.list {
			t.Error(text)
		}
	})
	limited, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return limited, w
}

// trouble collects what a page must not do: say something on the console, ask the network, open a dialog.
type trouble struct {
	all  sync.WaitGroup
	mu   sync.Mutex
	list []string
}

// watch listens until the browser ends.
func (w *trouble) watch(ctx context.Context, tab *chromedp.Target) error {
	follow(ctx, w, tab, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) string { return "an exception: " + e.ExceptionDetails.Text })
	follow(ctx, w, tab, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) string {
		return fmt.Sprintf("the console has a message of type %s", e.Type)
	})
	follow(ctx, w, tab, log.EntryAdded, func(e log.EventEntryAdded) string {
		return fmt.Sprintf("the log has %s: %s", e.Entry.Level, e.Entry.Text)
	})
	follow(ctx, w, tab, cdpage.JavascriptDialogOpening, func(e cdpage.EventJavascriptDialogOpening) string { return "a dialog says " + e.Message })
	follow(ctx, w, tab, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) string {
		if url := e.Request.URL; !strings.HasPrefix(url, "data:") && !strings.HasSuffix(url, "/hf-page.html") && !strings.Contains(url, "/hf-page.html#") {
			return "the network was asked for " + url
		}
		return ""
	})
	_, first := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
	_, second := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
	return errors.Join(first, second)
}

func follow[E any](ctx context.Context, w *trouble, tab *chromedp.Target, event cdp.Event[E], of func(E) string) {
	events := cdp.Events(ctx, tab, event)
	w.all.Go(func() {
		for e, err := range events {
			if err != nil {
				return // the browser has ended
			}
			if text := of(e); text != "" {
				w.mu.Lock()
				w.list = append(w.list, text)
				w.mu.Unlock()
			}
		}
	})
}

// write makes the page of runs and gives its address.
func write(t *testing.T, runs ...*record.Run) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hf-page.html")
	if err := os.WriteFile(path, []byte(page(t, runs...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// eval gives the value of an expression in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// look sets what the page is looked at with: a scheme of colours and a screen.
func look(scheme string, width, height int64) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// opens shows a page.
func opens(address string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(".badge")))
}

// becomes waits until an expression in the page is true.
func becomes(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(10*time.Second))); err != nil {
		t.Errorf("%s: %v", expression, err)
	}
}

// TestBrowser: the page in a real browser: nothing goes wrong, what a person looks for is there, and the pointer, the keys and the button work.
func TestBrowser(t *testing.T) {
	ctx, _ := browser(t)
	run(t, ctx, look("light", 1200, 1000), opens(write(t, sampleRun(7, false))))
	for selector, want := range map[string]int{".tiles div": 5, ".faults .bar": 5, ".bar.node": 8, ".chart path": 6, ".checks > li.ok": 7, "table.faults tbody tr": 5, ".copy": 1, ".dot[title]": 4} {
		if got := eval[int](t, ctx, fmt.Sprintf("document.querySelectorAll(%q).length", selector)); got != want {
			t.Errorf("%d of %s, want %d", got, selector, want)
		}
	}
	// What is drawn is on the page, and each bar within the line.
	if eval[bool](t, ctx, `[...document.querySelectorAll(".chart svg, .bar, .dot[title]")].some(e => { const b = e.getBoundingClientRect(); return b.width < 1 || b.height < 1 || b.left < 0 || b.right > innerWidth })`) {
		t.Error("something of the time line is not to be seen")
	}
	before := eval[string](t, ctx, `document.querySelector(".read").textContent`)
	x := eval[float64](t, ctx, `(() => { const b = document.querySelector(".chart").getBoundingClientRect(); return b.left + b.width * 12.5 / 96 })()`)
	y := eval[float64](t, ctx, `document.querySelector(".chart").getBoundingClientRect().top + 20`)
	run(t, ctx, chromedp.MouseEvent("mouseMoved", x, y))
	if read := eval[string](t, ctx, `document.querySelector(".read").textContent`); !strings.Contains(read, "second 12 ") || !strings.Contains(read, "kill · n1") || read == before {
		t.Errorf("the pointer reads %q", read)
	}
	run(t, ctx, chromedp.Focus(chromedp.CSS(".line")), chromedp.KeyEvent("\u0303")) // ArrowRight
	if read := eval[string](t, ctx, `document.querySelector(".read").textContent`); !strings.Contains(read, "second 13 ") {
		t.Errorf("with the arrow key the pointer reads %q", read)
	}
	run(t, ctx, chromedp.Click(chromedp.CSS(".copy")))
	becomes(t, ctx, `["Copied", "Select it"].includes(document.querySelector(".copy").textContent)`)
	if *picture != "" {
		shown := sampleRun(7, false)
		if *of != "" {
			var err error
			if shown, err = record.Read(*of); err != nil {
				t.Fatal(err)
			}
		}
		run(t, ctx, chromedp.MouseEvent("mouseMoved", 1, 1), look("light", 1200, 1250), opens(write(t, shown)))
		png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*picture, png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBrowserEverywhere: light and dark, on a phone, and on paper.
func TestBrowserEverywhere(t *testing.T) {
	ctx, _ := browser(t)
	contrast := `(() => {
		const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3) };
		const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }); return .2126 * r + .7152 * g + .0722 * b };
		let worst = [21, ""];
		for (const e of document.querySelectorAll("h1, h3, .sub, .saw, .about, .tiles dt, .badge, td, .lab, .broken .saw strong, .pill, .legend, .read, .note, .tick, .about code, td small, footer, em")) {
			let p = e, back = null;
			while (p && !back) { back = rgb(getComputedStyle(p).backgroundColor); p = p.parentElement }
			const a = light(rgb(getComputedStyle(e).color)), b = light(back || [255, 255, 255]);
			const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
			if (ratio < worst[0] && e.checkVisibility()) worst = [ratio, e.outerHTML.slice(0, 80)];
		}
		return worst })()`
	address := write(t, sampleRun(8, true), sampleRun(9, false))
	var backs []string
	for _, scheme := range []string{"light", "dark"} {
		run(t, ctx, look(scheme, 360, 740), opens(address))
		if width := eval[float64](t, ctx, "document.documentElement.scrollWidth"); width > 360 {
			t.Errorf("%s: %v px wide on a phone of 360", scheme, width)
		}
		if size := eval[float64](t, ctx, `Math.min(...[...document.querySelectorAll("p, td, dd, dt, b, li, em, .tick:not(.minor)")].filter(e => e.checkVisibility() && e.textContent.trim()).map(e => parseFloat(getComputedStyle(e).fontSize)))`); size < 10 {
			t.Errorf("%s: text of %v px", scheme, size)
		}
		if worst := eval[[]any](t, ctx, contrast); worst[0].(float64) < 4.5 { // WCAG 2.2, 1.4.3
			t.Errorf("%s: a contrast of %.2f of %s", scheme, worst[0], worst[1])
		}
		backs = append(backs, eval[string](t, ctx, "getComputedStyle(document.body).backgroundColor"))
	}
	if backs[0] == backs[1] {
		t.Errorf("light and dark are both %s", backs[0])
	}
	// The run that passed is folded until it is asked for, and on paper everything is there.
	if open := eval[[]bool](t, ctx, `[...document.querySelectorAll(".fold")].map(d => d.open)`); len(open) != 2 || !open[0] || open[1] {
		t.Errorf("open are %v", open)
	}
	run(t, ctx, chromedp.Click(chromedp.CSS(`.runs a[href="#run-2"]`)))
	becomes(t, ctx, `document.querySelector("#run-2 .fold").open`)
	run(t, ctx, opens(address))
	pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF())
	if err != nil {
		t.Fatal(err)
	}
	if closed := eval[int](t, ctx, `document.querySelectorAll("details:not([open])").length`); closed != 0 || len(pdf) < 20_000 {
		t.Errorf("on paper %d parts are folded, the document has %d bytes", closed, len(pdf))
	}
}

// TestBrowserWithHostileNames: no name and no text of a run is more than text.
func TestBrowserWithHostileNames(t *testing.T) {
	ctx, _ := browser(t)
	run(t, ctx, look("light", 1200, 1000), opens(write(t, hostileRun(), sampleRun(1, false))))
	if n := eval[int](t, ctx, `document.querySelectorAll("img, iframe, object, script:not(.seconds)").length`); n != 1 { // the page's own script
		t.Errorf("%d elements came from texts", n-1)
	}
	if width := eval[float64](t, ctx, "document.documentElement.scrollWidth - innerWidth"); math.Abs(width) > 0 {
		t.Errorf("a long name makes the page %v px too wide", width)
	}
	run(t, ctx, chromedp.Focus(chromedp.CSS(".line")), chromedp.KeyEvent("\u0303"))
	if read := eval[string](t, ctx, `document.querySelector(".read").textContent`); !strings.Contains(read, "<script>") {
		t.Errorf("the pointer reads %q", read)
	}
}

// TestTroubleIsSeen: a page that does what it must not is noticed.
func TestTroubleIsSeen(t *testing.T) {
	ctx, w := browser(t)
	path := filepath.Join(t.TempDir(), "bad.html")
	if err := os.WriteFile(path, []byte(`<p class="badge">x</p><script src="http://127.0.0.1:1/x.js"></script><script>console.log("a"); undefined.b</script>`), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, opens("file://"+path))
	err := proc.Poll(ctx, 10*time.Millisecond, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		all := strings.Join(w.list, "\n")
		for _, want := range []string{"the network was asked for http://127.0.0.1:1/x.js", "an exception", "the console has", "the log has"} {
			if !strings.Contains(all, want) {
				return fmt.Errorf("not seen: %s; seen: %s", want, all)
			}
		}
		w.list = nil
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
