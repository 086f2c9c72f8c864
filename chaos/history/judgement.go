package history

import (
	"fmt"
	"io"

	"github.com/anishathalye/porcupine"
)

// maxKept bounds how many counterexamples are kept; the rest is counted only.
const maxKept = 100

// Judgement is what a search found.
type Judgement struct {
	// Subjects counts the registers that were judged, Operations what was done to them.
	Subjects, Operations int
	// Wrong are the first registers whose history has no order, Count is the number of all of them.
	Wrong []Counterexample
	Count int
	// Unjudged counts the registers for which the time was too short.
	Unjudged int
}

// OK says that every register was judged and has an order.
func (j *Judgement) OK() bool { return j.Count == 0 && j.Unjudged == 0 }

func (j *Judgement) fails(text string, draw func(io.Writer) error) {
	j.Count++
	if len(j.Wrong) < maxKept {
		j.Wrong = append(j.Wrong, Counterexample{Text: text, draw: draw})
	}
}

// Counterexample is one register whose history has no order.
type Counterexample struct {
	// Text says in a sentence what does not fit.
	Text string
	draw func(io.Writer) error
}

// Draw writes porcupine's picture of the history, an HTML page with scripts of its own: its operations as bars, and how far an order goes.
func (c Counterexample) Draw(w io.Writer) error {
	if c.draw == nil {
		_, err := fmt.Fprintln(w, "there is no picture of this")
		return err
	}
	return c.draw(w)
}

// picture is made when it is asked for: drawing takes longer than judging.
func picture(m porcupine.Model, steps []porcupine.Operation) func(io.Writer) error {
	return func(w io.Writer) error {
		_, info := porcupine.CheckOperationsVerbose(m, steps, 0)
		return porcupine.Visualize(m, info, w)
	}
}
