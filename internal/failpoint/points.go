package failpoint

import "slices"

// Point names a moment. It is the name of a file: lower-case words with dashes.
type Point string

// The log (storage): a write of entries, and the removal of those that a snapshot has made superfluous.
const (
	AppendBegin Point = "append-begin" // nothing is on the disk
	AppendDone  Point = "append-done"  // durable, and nobody has been told

	CompactBegin    Point = "compact-begin"
	CompactDeclared Point = "compact-declared" // the new extent is sealed, nothing is removed
	CompactDeleted  Point = "compact-deleted"  // some entries are removed, which is not sealed
	CompactSealed   Point = "compact-sealed"
	CompactDone     Point = "compact-done"

	RewriteBegin  Point = "rewrite-begin"  // the log's file is written anew because most of it is free
	RewriteCopied Point = "rewrite-copied" // the new file is whole
	RewriteNamed  Point = "rewrite-named"  // it has the name
	RewriteDone   Point = "rewrite-done"
)

// A snapshot (storage), and any small file that is replaced as a whole.
const (
	SnapshotBegin   Point = "snapshot-begin"
	SnapshotCreated Point = "snapshot-created"
	SnapshotWriting Point = "snapshot-writing" // a part of the state is written
	SnapshotWritten Point = "snapshot-written" // all of it, not synced
	SnapshotNamed   Point = "snapshot-named"   // synced and renamed, without the checksum of its head
	SnapshotSummed  Point = "snapshot-summed"  // whole
	SnapshotPruning Point = "snapshot-pruning" // an old one has lost its name
	SnapshotPruned  Point = "snapshot-pruned"  // one is removed
	SnapshotDone    Point = "snapshot-done"

	FileWritten Point = "file-written"
	FileSynced  Point = "file-synced"
	FileNamed   Point = "file-named"
)

// A backup (storage/archive, storage/depot): a file, or an upload.
const (
	ArchiveCreated Point = "archive-created"
	ArchiveWritten Point = "archive-written"
	ArchiveSynced  Point = "archive-synced"
	ArchiveNamed   Point = "archive-named"
	ArchiveDone    Point = "archive-done"
	ArchivePruned  Point = "archive-pruned" // an older one is removed

	UploadBegun   Point = "upload-begun"
	UploadPart    Point = "upload-part" // one has arrived
	UploadParts   Point = "upload-parts"
	UploadNamed   Point = "upload-named" // the store has it under its name
	UploadChecked Point = "upload-checked"
)

// A group begins again on one node (raftnode, server): restore, promotion and recovery.
const (
	FoundOpened      Point = "found-opened"
	FoundIdentity    Point = "found-identity"
	FoundFormer      Point = "found-former"
	FoundTerm        Point = "found-term"
	FoundSnapshot    Point = "found-snapshot"
	FoundCertificate Point = "found-certificate"

	PromoteBegin Point = "promote-begin" // the state is there, nothing is written
	PromoteNoted Point = "promote-noted" // the archive says that it is promoted
	PromoteDone  Point = "promote-done"

	RecoverMade      Point = "recover-made"      // the new directory is whole, beside the old one
	RecoverExchanged Point = "recover-exchanged" // they have changed places
)

// An archive becomes the state of the running group (server, raftnode).
const (
	RegroupBegin   Point = "regroup-begin"
	RegroupBegun   Point = "regroup-begun"
	RegroupPart    Point = "regroup-part"    // some of it is in the log
	RegroupStaged  Point = "regroup-staged"  // all of it, and nothing is made of it
	RegroupApplied Point = "regroup-applied" // a node has switched
	RegroupDone    Point = "regroup-done"    // committed, and nobody has been told
)

// A change of the membership (raftnode).
const (
	JoinCertificate Point = "join-certificate" // the new node has its key, and no name in its directory
	JoinIdentity    Point = "join-identity"
	JoinAdmitted    Point = "join-admitted" // it is a member, and has nothing of the group

	AddBegin      Point = "add-begin" // the leader
	AddDone       Point = "add-done"  // committed, and the new node has not been told
	VoteBegin     Point = "vote-begin"
	VoteDone      Point = "vote-done"
	RemoveBegin   Point = "remove-begin"
	RemoveDone    Point = "remove-done"
	RemoveRevoked Point = "remove-revoked" // the state knows it too
	RemoveTold    Point = "remove-told"    // the removed node has heard of it
	RemoveNoted   Point = "remove-noted"
	DemoteBegin   Point = "demote-begin"
	DemoteDone    Point = "demote-done"
	ResyncBegin   Point = "resync-begin" // the node's vote is taken, which it has not noted
	ResyncMarked  Point = "resync-marked"

	DropLog      Point = "drop-log"
	DropRenamed  Point = "drop-renamed"
	DropSnapshot Point = "drop-snapshot"
	DropDone     Point = "drop-done"

	ResyncDropped  Point = "resync-dropped"  // noted
	ResyncReturned Point = "resync-returned" // the state is there
	ResyncDone     Point = "resync-done"
)

var points = []Point{
	AppendBegin, AppendDone,
	CompactBegin, CompactDeclared, CompactDeleted, CompactSealed, CompactDone,
	RewriteBegin, RewriteCopied, RewriteNamed, RewriteDone,
	SnapshotBegin, SnapshotCreated, SnapshotWriting, SnapshotWritten, SnapshotNamed, SnapshotSummed, SnapshotPruning, SnapshotPruned, SnapshotDone,
	FileWritten, FileSynced, FileNamed,
	ArchiveCreated, ArchiveWritten, ArchiveSynced, ArchiveNamed, ArchiveDone, ArchivePruned,
	UploadBegun, UploadPart, UploadParts, UploadNamed, UploadChecked,
	FoundOpened, FoundIdentity, FoundFormer, FoundTerm, FoundSnapshot, FoundCertificate,
	PromoteBegin, PromoteNoted, PromoteDone,
	RecoverMade, RecoverExchanged,
	RegroupBegin, RegroupBegun, RegroupPart, RegroupStaged, RegroupApplied, RegroupDone,
	JoinCertificate, JoinIdentity, JoinAdmitted,
	AddBegin, AddDone, VoteBegin, VoteDone, RemoveBegin, RemoveDone, RemoveRevoked, RemoveTold, RemoveNoted, DemoteBegin, DemoteDone,
	ResyncBegin, ResyncMarked, DropLog, DropRenamed, DropSnapshot, DropDone, ResyncDropped, ResyncReturned, ResyncDone,
}

// Points lists all of them, in a fixed order.
func Points() []Point { return slices.Clone(points) }
