// Package disk is a disk that can be hurt: a directory, shown again through a file system of this process (FUSE) that passes everything on, and delays, refuses or holds writes and syncs
// as it is told, and forgets what was not synced when its power is cut. It needs /dev/fuse and the right to mount (root); Missing says why it cannot be done.
//
// Whoever uses the disk must be another process: a page fault on a mapped file is served by this one. Close lets go whatever is held, and unmounts; the users must have ended before. A process
// that is killed leaves a dead mount behind, which 'umount -l' removes.
//
// All methods may be called at once from any goroutine.
package disk
