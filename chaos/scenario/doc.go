// Package scenario reads scenarios, which are text files that anyone can read and write, and draws the plan of a run from one and a seed.
//
// A file is read strictly: an unknown key, a fault that does not exist, a time that is none are errors with file, line and column, all of them at once, and nothing is guessed. The same
// scenario and the same seed give the same plan, on every machine; what a machine cannot do is left out of the run, not out of the plan.
//
// docs/CHAOS.md shows how to write one. The built-in set is embedded in the program.
package scenario
