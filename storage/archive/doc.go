// Package archive is the form in which a group's state leaves it: one file with everything as of one log index.
//
// An archive has a header that says what is in it, the state as a stream of bytes in checked sections, and an end with a
// hash over all. What the stream means is not known here: it is the snapshot of package fsm. A Writer and a Reader hold one
// section at a time, so ten million assignments cost them no more memory than ten do. A Reader trusts nothing: no length is
// believed before it is bounded, no section is unpacked before its hash was right, and the end of the stream is only given
// once the hash over all was right and nothing follows. Every later version reads what this one writes.
//
// File, List and Prune are for directories of archives: an archive is there under its name when it is whole and on the disk,
// or not at all.
//
// Writer, Reader and File belong to one goroutine.
package archive
