// Package migrate brings the configuration of other balancers into a group: it merges what an importer made into what the group has, says what that
// changes, and watches the files as the originals did.
//
// The importers are sun, websphere and modjk. Each reads bytes, never a file, a network address or an external entity of its own accord, and gives a
// configuration that obeys config.Validate, together with a report that names every element, attribute or directive exactly once. A report with an
// error comes without a configuration: it is all or nothing. They are bounded in time and memory for any input and may be used by many goroutines.
package migrate
