// Package depot keeps archives in a bucket of an S3-compatible object store, as package archive does in a directory.
//
// An archive is there under its name when it is whole, or not at all: all its hashes are checked while it is read, a part at a time; each part goes with its
// checksums; the name is given only after the last byte; and what is stored is read back and compared before Put says that it is good. Whatever breaks
// on the way, the parts are removed again. No more than one part is in memory.
//
// Requests that fail in passing are repeated, for a bounded time. A download whose connection breaks goes on where it was.
//
// A Bucket may be used by several goroutines at once.
package depot
