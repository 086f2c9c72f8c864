package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// The elements of JUnit's XML that GitLab, GitHub's actions and Jenkins read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Time    string       `xml:"time,attr"`
		Skipped *junitSkip   `xml:"skipped"`
		Failure *junitReason `xml:"failure"`
		Error   *junitReason `xml:"error"`
		Out     string       `xml:"system-out,omitempty"`
	}
	junitSkip struct {
		Message string `xml:"message,attr"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the runs as JUnit XML: a suite for each run, a case for each check, skipped where it had nothing to judge. A run that could not be played has a case of its own, with an
// error.
func JUnit(w io.Writer, runs []*record.Run) error {
	all := junitSuites{Name: "holdfast-chaos"}
	took := time.Duration(0)
	for _, r := range runs {
		s := suite(r)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		took += r.Took
		all.Suites = append(all.Suites, s)
	}
	all.Time = inSeconds(took)
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	_, err = io.WriteString(w, xml.Header+string(text)+"\n")
	return err
}

func suite(r *record.Run) junitSuite {
	name := fmt.Sprintf("%s, seed %d", clean(r.Scenario), r.Seed)
	s := junitSuite{Name: name, Time: inSeconds(r.Took), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05")}
	for _, p := range [][2]string{
		{"seed", fmt.Sprint(r.Seed)}, {"profile", r.Profile}, {"substrate", r.Substrate}, {"commit", r.Commit}, {"version", r.Version}, {"replay", r.Replay},
	} {
		if p[1] != "" {
			s.Properties = append(s.Properties, junitProperty{p[0], clean(p[1])})
		}
	}
	for _, c := range r.Checks {
		one := junitCase{Class: "chaos." + clean(r.Scenario), Name: fmt.Sprintf("%s (seed %d)", clean(c.Name), r.Seed), Time: inSeconds(c.Took), Out: clean(c.Saw)}
		if !c.OK {
			one.Failure = &junitReason{Message: clean(c.Saw), Type: "broken promise", Text: violations(r, c)}
			s.Failures++
		} else if c.Nothing {
			one.Skipped = &junitSkip{Message: clean(c.Saw)}
			s.Skipped++
		}
		s.Cases = append(s.Cases, one)
	}
	if r.Verdict == record.Errored {
		s.Cases = append(s.Cases, junitCase{
			Class: "chaos." + clean(r.Scenario), Name: fmt.Sprintf("the run (seed %d)", r.Seed), Time: inSeconds(r.Took),
			Error: &junitReason{Message: clean(r.Problem), Type: "could not be played", Text: clean(r.Problem) + "\n" + clean(r.Replay)},
		})
		s.Errors++
	}
	s.Tests = len(s.Cases)
	return s
}

func violations(r *record.Run, c record.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", clean(c.About))
	for _, v := range c.Violations {
		fmt.Fprintf(&b, "- %s\n", clean(v))
	}
	if more := c.Count - len(c.Violations); more > 0 {
		fmt.Fprintf(&b, "- and %s more\n", record.Number(more))
	}
	if r.Replay != "" {
		fmt.Fprintf(&b, "again: %s\n", clean(r.Replay))
	}
	return b.String()
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
