// Package check judges a run: each Check is one promise, when it has to hold, and how it is judged from Evidence. It says what it saw in a sentence
// that a person understands, and each violation in another.
//
//	always      at each moment. Judged from what was noted as it happened, so they may be run again and again while the run goes on.
//	eventually  within the Patience of the evidence after the last fault was healed. They ask the group until it is so.
//	end         of all that was seen, once the load has stopped and the group is well.
//
// Evidence is filled while the run goes on, from any goroutine. A check reads it, asks the group's public interfaces, and changes nothing.
package check
