package check

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/chaos/history"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// maxPictures bounds how many histories without an order are drawn: one shows what is wrong, a few show whether it is the same.
const maxPictures = 5

// Keep writes what helps to understand a broken run into the folder: the history as history.jsonl, and porcupine's pictures of the first histories
// that have no order. It records each file, by its name. To be called after the checks at the end.
func (e *Evidence) Keep(folder string) error {
	var errs []error
	keep := func(name string, write func(*bytes.Buffer) error) {
		var b bytes.Buffer
		err := write(&b)
		if err == nil {
			err = record.Replace(filepath.Join(folder, name), b.Bytes())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("keep %s: %w", name, err))
			return
		}
		e.Recorder.Keep(name)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("keep the history: %w", err)
	}
	keep("history.jsonl", func(b *bytes.Buffer) error { return e.History.Save(b) })
	e.mu.Lock()
	wrong := append([]history.Counterexample(nil), e.wrong...)
	e.mu.Unlock()
	for i, w := range wrong {
		keep(fmt.Sprintf("order-%d.html", i+1), func(b *bytes.Buffer) error { return w.Draw(b) })
	}
	return errors.Join(errs...)
}

// draws notes counterexamples for Keep.
func (e *Evidence) draws(wrong []history.Counterexample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wrong = append(e.wrong, wrong[:min(len(wrong), max(0, maxPictures-len(e.wrong)))]...)
}
