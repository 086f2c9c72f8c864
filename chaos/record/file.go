package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// maxFile bounds run.json, in bytes: a day of events is far below.
const maxFile = 256 << 20

// Write writes the run to a file, whole or not at all: another file of that name stays until the new one is complete.
func Write(path string, run *Run) error {
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := Replace(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the run: %w", err)
	}
	return nil
}

// Replace writes a file whole or not at all.
func Replace(path string, data []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if _, err := file.Write(data); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Read reads a run from a file. The error says what is wrong with it.
func Read(path string) (*Run, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is no run: it has more than %d MiB", path, maxFile>>20)
	}
	run, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no run: %w", path, err)
	}
	return run, nil
}

// Decode reads a run from the bytes of run.json. Fields that it does not know are an error: somebody misspelled one, or a newer program
// wrote the file.
func Decode(text []byte) (*Run, error) {
	var head struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, place(text, err)
	}
	switch {
	case head.Format == nil:
		return nil, errors.New(`it has no "format": is it a run.json of holdfast-chaos?`)
	case *head.Format != Format:
		return nil, fmt.Errorf("its format is %d, this program reads %d: use the program that wrote it", *head.Format, Format)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	run := &Run{}
	if err := decoder.Decode(run); err != nil {
		return nil, place(text, err)
	}
	if err := run.valid(); err != nil {
		return nil, err
	}
	return run, nil
}

// place adds line and column to an error of the JSON decoder that knows where it happened.
func place(text []byte, err error) error {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(text)) {
		return err
	}
	before := text[:offset]
	line := 1 + bytes.Count(before, []byte{'\n'})
	return fmt.Errorf("line %d, column %d: %w", line, len(before)-bytes.LastIndexByte(before, '\n')-1, err)
}

// maxTook bounds the length of a run that is believed.
const maxTook = 1000 * time.Hour

// valid holds what a reader may rely on against the run: times in order and in bounds, words that exist.
func (r *Run) valid() error {
	switch r.Verdict {
	case "", Passed, Failed, Errored:
	default:
		return fmt.Errorf("verdict %.40q: it is passed, failed or error", r.Verdict)
	}
	if r.Took < 0 || r.Took > maxTook {
		return fmt.Errorf("tookNs is %d: a run takes from 0 to %d", r.Took, maxTook)
	}
	if r.Outage < 0 {
		return fmt.Errorf("outageNs is %d: it is not negative", r.Outage)
	}
	within := func(t time.Duration) bool { return t >= 0 && t <= maxTook }
	for i, e := range r.Events {
		if !within(e.At) || i > 0 && e.At < r.Events[i-1].At {
			return fmt.Errorf("event %d: atNs is %d: events are in order, from 0 to %d", i, e.At, maxTook)
		}
	}
	for i, f := range r.Faults {
		if !within(f.From) || !within(f.To) || f.To < f.From || f.Outage < 0 || f.Slowest < 0 || f.Failed < 0 || f.Refused < 0 {
			return fmt.Errorf("fault %d: from %d to %d ns, outage %d ns, slowest %d ns, %d failed: none is negative, and a fault ends after it begins",
				i, f.From, f.To, f.Outage, f.Slowest, f.Failed)
		}
	}
	for i, s := range r.Series {
		if s.At != i {
			return fmt.Errorf("series %d: at is %d: there is one element for each second, from 0", i, s.At)
		}
		if s.Requests < 0 || s.Failed < 0 || s.Refused < 0 || s.Failed > s.Requests || min(s.P50, s.P90, s.P99, s.Max) < 0 {
			return fmt.Errorf("series %d: %d of %d failed, latencies %g %g %g %g: none is negative, and no more fail than are made", i, s.Failed, s.Requests, s.P50, s.P90, s.P99, s.Max)
		}
	}
	for i, c := range r.Checks {
		if c.When != Always && c.When != Eventually && c.When != AtEnd {
			return fmt.Errorf("check %d: when is %.40q: it is always, eventually or end", i, c.When)
		}
		if c.Count < len(c.Violations) || c.OK != (c.Count == 0) {
			return fmt.Errorf("check %d: ok is %v with %d violations of %d: a check is ok when there is none", i, c.OK, len(c.Violations), c.Count)
		}
		if c.Nothing && !c.OK {
			return fmt.Errorf("check %d: nothing is true, and it is not ok: what had nothing to judge breaks nothing", i)
		}
		if c.Unjudged < 0 || c.Unjudged > c.Count {
			return fmt.Errorf("check %d: unjudged is %d: it is a part of the %d violations", i, c.Unjudged, c.Count)
		}
	}
	return nil
}
