package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/report"
)

// summary is summary.json: what a program asks of a campaign, without reading every record.
type summary struct {
	Runs     int `json:"runs"`
	Passed   int `json:"passed"`
	Broken   int `json:"broken"`
	Errors   int `json:"errors"`
	Sessions int `json:"sessions"`
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	Faults   int `json:"faults"`
	// NotPlayed counts faults of the plans that did not happen.
	NotPlayed int          `json:"notPlayed"`
	List      []summaryRun `json:"list"`
}

type summaryRun struct {
	Scenario string         `json:"scenario"`
	Seed     uint64         `json:"seed"`
	Verdict  record.Verdict `json:"verdict"`
	Seconds  float64        `json:"seconds"`
	// Broken names the checks that do not hold.
	Broken []string `json:"broken"`
	Replay string   `json:"replay"`
}

func summarise(runs []*record.Run) summary {
	s := summary{Runs: len(runs), List: []summaryRun{}}
	for _, r := range runs {
		all, failed, _ := r.Requests()
		s.Sessions, s.Requests, s.Failed, s.Faults = s.Sessions+r.Sessions, s.Requests+all, s.Failed+failed, s.Faults+len(r.Played())
		s.NotPlayed += len(r.Faults) - len(r.Played())
		one := summaryRun{Scenario: r.Scenario, Seed: r.Seed, Verdict: r.Verdict, Seconds: r.Took.Round(time.Millisecond).Seconds(), Broken: brokenChecks(r), Replay: r.Replay}
		s.List = append(s.List, one)
		switch r.Verdict {
		case record.Passed:
			s.Passed++
		case record.Failed:
			s.Broken++
		default:
			s.Errors++
		}
	}
	return s
}

// clearReports removes the reports of an earlier campaign from a folder.
func clearReports(dir string) error {
	var errs []error
	for _, name := range []string{"summary.json", "report.html", "junit.xml"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// writeReports writes the reports of runs into a folder.
func writeReports(dir string, runs []*record.Run) error {
	if len(runs) == 0 {
		return nil
	}
	text, err := json.MarshalIndent(summarise(runs), "", "  ")
	if err != nil {
		return err
	}
	if err := record.Replace(filepath.Join(dir, "summary.json"), append(text, '\n')); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for name, write := range map[string]func(io.Writer, []*record.Run) error{"report.html": report.Page, "junit.xml": report.JUnit} {
		var b bytes.Buffer
		if err := write(&b, runs); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := record.Replace(filepath.Join(dir, name), b.Bytes()); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}
