// Package operate plays operators: it draws random changes of a group's configuration, knows from a model what each may do to whom, and holds
// what sticky clients and open WebSockets see against that.
//
// The rule that is checked: a session's instance changes only when a change has named that instance (removed it, stopped it, or let it quiesce to the
// end) since the session's last answer; no answer comes from an instance that has been stopped for longer than grace; no WebSocket closes.
//
// A Model and a Drawer belong to one goroutine; Fate may be asked and told from any.
package operate
