// Package ledger keeps what clients were told, so that every later answer can be held against it.
//
// The first answer of a session makes an Entry: it names an instance, and from then on every answer, through every node,
// must name the same one; the application must still know the session; the answer must be the client's own; and the tables
// of all nodes must have the session on that instance. What breaks one of these rules is a Violation. A ledger never
// forgives one, except that the sessions of an instance that was declared fallen may move once.
//
// All methods may be called at once from any goroutine.
package ledger
