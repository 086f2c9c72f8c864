package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Check is one promise.
type Check struct {
	Name string
	When record.When
	// About is the promise, in a sentence.
	About string
	judge func(context.Context, *Evidence) verdict
	back  bool // it is judged when the clients have come back: see RunBack
}

// verdict is what a check says.
type verdict struct {
	saw        string
	violations []string
	count      int // all violations, also those that are not listed
	unjudged   int // how many of them are of cannot
	nothing    bool
}

// breaks adds a violation.
func (v *verdict) breaks(format string, args ...any) {
	v.count++
	if len(v.violations) < maxShown {
		v.violations = append(v.violations, fmt.Sprintf(format, args...))
	}
}

// cannot adds one that says that something could not be judged.
func (v *verdict) cannot(format string, args ...any) {
	v.unjudged++
	v.breaks(format, args...)
}

// none says that there was nothing to judge, and what there was none of. What was broken all the same stays broken.
func (v *verdict) none(format string, args ...any) {
	if v.count == 0 {
		v.saw, v.nothing = fmt.Sprintf(format, args...)+", so this shows nothing of it", true
	}
}

// maxShown bounds how many violations a result lists.
const maxShown = 20

// Run judges. It returns when it is done or, with a violation that says so, when ctx ends.
func (c Check) Run(ctx context.Context, e *Evidence) record.Result {
	began := time.Now()
	v := c.judge(ctx, e)
	if ctx.Err() != nil && v.count == 0 {
		v.cannot("the run was ended before this was judged: %v", context.Cause(ctx))
	}
	return record.Result{
		Name: c.Name, When: c.When, About: c.About, Saw: v.saw, OK: v.count == 0, Violations: v.violations, Count: v.count, Unjudged: v.unjudged, Nothing: v.nothing && v.count == 0, Took: time.Since(began),
	}
}

// All gives every check, in the order in which they are to be run.
func All() []Check { return slices.Concat(always(), eventually(), atEnd()) }

// Select gives the checks of the names, in the order of All; none, or the name all, selects all of them.
func Select(names ...string) ([]Check, error) {
	all := All()
	if len(names) == 0 || slices.Contains(names, "all") {
		return all, nil
	}
	var known, unknown []string
	for _, c := range all {
		known = append(known, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			unknown = append(unknown, fmt.Sprintf("%.60q", name))
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("there is no check %s; there are all, %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
	}
	return slices.DeleteFunc(all, func(c Check) bool { return !slices.Contains(names, c.Name) }), nil
}

// Run runs those of the checks that hold at the given time, one after the other, and records what they say.
func Run(ctx context.Context, checks []Check, when record.When, e *Evidence) {
	for _, c := range checks {
		if c.When == when && !c.back {
			e.Recorder.Check(c.Run(ctx, e))
		}
	}
}

// RunBack runs those that are left at the end: of what there is when all clients have come back (Evidence.Back), which those before must not see, because a client that comes back may mend what was lost.
func RunBack(ctx context.Context, checks []Check, e *Evidence) {
	for _, c := range checks {
		if c.back {
			e.Recorder.Check(c.Run(ctx, e))
		}
	}
}

// Broken judges the checks that hold always, and lists the violations; nothing is recorded. It is for runs that end at the first one.
func Broken(ctx context.Context, checks []Check, e *Evidence) (list []string) {
	for _, c := range checks {
		if c.When == record.Always {
			for _, v := range c.Run(ctx, e).Violations {
				list = append(list, c.Name+": "+v)
			}
		}
	}
	return list
}

// count writes a number with its noun: 1 request, 2,000 requests.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
		if strings.HasSuffix(noun, "ys") {
			noun = strings.TrimSuffix(noun, "ys") + "ies"
		}
	}
	return record.Number(n) + " " + noun
}
