// Package record is what one run of a scenario leaves behind: what happened when, what each fault cost, what the checks say. A Run is
// written as run.json and everything else is made from it: the lines on the terminal, JUnit XML, the page.
//
// A Recorder gathers it while the run goes on. Its methods may be called at once from any goroutine and never block on I/O, except that
// Listen's function is called with each event before the method returns. A Run itself is plain data: whoever has one may read it, and
// nobody else changes it.
//
// Times in a run are counted from its beginning, on the monotonic clock. In JSON they are whole nanoseconds (fields that end in Ns), and
// milliseconds where the name ends in Ms.
package record
