package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// When the digests of two replicas differ, these say where: first the parts of the state, then the items of one part. Everything is as of a Snapshot, so that the two sides look
// at the same index. Secrets are only hashed; a label has none.

// Part is one kind of what a state has beside the assignments. Numbers are those of snapshot sections: append-only.
type Part uint8

// partNames has the parts that can be compared, in the order in which they are looked at.
var partNames = []struct {
	part item
	name string
}{
	{itemNow, "the replicated time"}, {itemGroup, "the group's identity"}, {itemRevision, "the configuration's revisions"}, {itemName, "the ids of instances"}, {itemModule, "the ids of modules"},
	{itemOperating, "the index of the operating state"}, {itemQuiesce, "the quiesces"}, {itemLock, "the maintenance lock"}, {itemVerdict, "the verdicts on instances"},
	{itemRegistration, "the registrations"}, {itemSchedule, "the schedules"}, {itemWorkflow, "the workflows"}, {itemShare, "the shares"}, {itemHolder, "the holder"},
	{itemEvacuation, "the evacuations"}, {itemBackups, "the scheduled backups"}, {itemCertificate, "the certificates"}, {itemTicketKey, "the ticket keys"}, {itemRevocation, "the revoked nodes"},
	{itemFile, "the files"}, {itemACME, "what the ACME client keeps"}, {itemAccess, "the users, groups and roles"}, {itemToken, "the tokens"}, {itemRequest, "the remembered requests"}, {itemEvent, "the events"},
	{itemDecision, "the remembered decisions"}, {itemStored, "the store"},
}

// String names the part for people.
func (p Part) String() string {
	for _, n := range partNames {
		if Part(n.part) == p {
			return n.name
		}
	}
	return fmt.Sprintf("part %d", uint8(p))
}

// PartDigest is the digest of one part.
type PartDigest struct {
	Part   Part   `json:"part"`
	Digest Digest `json:"digest"`
}

// Parts gives the digest of each part but the table. A replica of another version may know more parts, or fewer.
func (s *Snapshot) Parts() []PartDigest {
	list := make([]PartDigest, 0, len(partNames))
	for _, n := range partNames {
		var total sum
		l := s.list(Part(n.part))
		var b []byte
		for i := range l.n {
			b = l.form(b[:0], i)
			total.add(itemSum(n.part, b))
		}
		list = append(list, PartDigest{Part(n.part), total.bytes()})
	}
	return list
}

// Items gives eight bytes of the hash of each item of a part, in the part's order. An unknown part has none.
func (s *Snapshot) Items(p Part) []uint64 {
	l := s.list(p)
	out := make([]uint64, l.n)
	var b []byte
	for i := range out {
		b = l.form(b[:0], i)
		out[i] = itemSum(item(p), b).a
	}
	return out
}

// Label names an item of a part for people, without secrets; false when there is no such item.
func (s *Snapshot) Label(p Part, i int) (string, bool) {
	l := s.list(p)
	if i < 0 || i >= l.n {
		return "", false
	}
	return l.label(i), true
}

// itemList is a part as a list: n items, the canonical form of each, and how it is called.
type itemList struct {
	n     int
	form  func(b []byte, i int) []byte
	label func(i int) string
}

// listOf makes one of a slice.
func listOf[T any](list []T, form func([]byte, *T) []byte, label func(*T) string) itemList {
	return itemList{len(list), func(b []byte, i int) []byte { return form(b, &list[i]) }, func(i int) string { return label(&list[i]) }}
}

// oneOf makes one of what may be there once.
func oneOf[T any](x *T, form func([]byte, *T) []byte, label string) itemList {
	if x == nil {
		return itemList{}
	}
	return itemList{1, func(b []byte, _ int) []byte { return form(b, x) }, func(int) string { return label }}
}

func (s *Snapshot) list(p Part) itemList {
	o := s.operating
	switch item(p) {
	case itemNow:
		return oneOf(&s.now, func(b []byte, now *int64) []byte { return appendU64(b, uint64(*now)) }, "it is "+millis(s.now).Format("2006-01-02 15:04:05.000"))
	case itemGroup:
		return oneOf(s.group, appendGroup, "the group")
	case itemRevision:
		return listOf(s.history.revisions, func(b []byte, r **Revision) []byte { return appendRevision(b, *r) }, func(r **Revision) string { return fmt.Sprintf("revision %d", (*r).Number) })
	case itemToken:
		return listOf(s.tokens, appendToken, func(t *Token) string { return "token " + t.ID })
	case itemRequest:
		return listOf(s.requests, appendRequest, func(r *request) string { return fmt.Sprintf("request %x of index %d", r.id, r.index) })
	case itemEvent:
		return listOf(s.events, appendEvent, func(e *Event) string { return fmt.Sprintf("event %d (%s)", e.Seq, e.Kind) })
	case itemDecision:
		return listOf(s.decisions, appendDecision, func(d *decision) string {
			return fmt.Sprintf("decision of index %d about session %s", d.is.index(), d.key)
		})
	case itemName:
		return itemList{len(s.refs), func(b []byte, i int) []byte { return appendName(b, InstanceID(i+1), s.refs[i]) },
			func(i int) string { return fmt.Sprintf("id %d (%s/%s)", i+1, s.refs[i].Cluster, s.refs[i].Instance) }}
	case itemModule:
		return itemList{len(s.modules), func(b []byte, i int) []byte { return appendModule(b, ModuleID(i+1), s.modules[i]) },
			func(i int) string {
				return fmt.Sprintf("id %d (%s%s of %s)", i+1, s.modules[i].Host, s.modules[i].ContextRoot, s.modules[i].Cluster)
			}}
	case itemOperating:
		if !o.ownIndex() {
			return itemList{}
		}
		return oneOf(&o.Index, func(b []byte, index *uint64) []byte { return appendU64(b, *index) }, fmt.Sprintf("it is %d", o.Index))
	}
	if item(p) == itemStored {
		return s.listStored()
	}
	return s.listOperating(item(p))
}

func (s *Snapshot) listOperating(it item) itemList {
	o := s.operating
	instance := func(id InstanceID) string {
		if id == 0 || int(id) > len(s.refs) {
			return fmt.Sprintf("instance id %d", id)
		}
		return s.refs[id-1].Cluster + "/" + s.refs[id-1].Instance
	}
	switch it {
	case itemQuiesce:
		return listOf(o.Quiesces, appendQuiesce, func(q *Quiesce) string { return fmt.Sprintf("quiesce %d of %s", q.ID, q.describe()) })
	case itemLock:
		return oneOf(o.Lock, appendLock, "the lock")
	case itemVerdict:
		return listOf(o.Verdicts, appendVerdict, func(v *Verdict) string { return "verdict on " + instance(v.Instance) })
	case itemRegistration:
		return listOf(o.Registered, appendRegistration, func(g *Registration) string { return "registration of " + g.Cluster + "/" + g.Instance.Name })
	case itemSchedule:
		return listOf(o.Schedules, appendSchedule, func(c *Schedule) string { return "schedule " + c.ID })
	case itemWorkflow:
		return listOf(o.Workflows, appendWorkflow, func(w **Workflow) string { return "workflow " + (*w).ID })
	case itemShare:
		return listOf(o.Shares, appendShare, func(h *Share) string { return "share of node " + h.Node + " in " + instance(h.Instance) })
	case itemHolder:
		return oneOf(o.Holder, appendHolder, "the holder")
	case itemEvacuation:
		return listOf(o.Evacuated, appendEvacuation, func(e *Evacuation) string { return "evacuation of node " + e.Node })
	case itemRevocation:
		return listOf(o.Revocations, appendRevocation, func(v *Revocation) string { return "revocation of node " + v.ID })
	case itemBackups:
		return oneOf(o.Backups, appendBackups, "the schedule")
	case itemCertificate:
		return listOf(o.Certificates, appendCertificate, func(c *Certificate) string { return "certificate " + c.Name })
	case itemAccess:
		return s.listAccess()
	case itemFile:
		return listOf(slices.Concat(o.Files, o.Uploads), appendFile, func(f **File) string { return "file " + (*f).Name })
	case itemACME:
		return s.listACME()
	case itemTicketKey:
		return listOf(o.TicketKeys, appendTicketKey, func(k *TicketKey) string { return fmt.Sprintf("ticket key %d", k.ID) })
	}
	return itemList{}
}

// bytes is the sum alone, without the time.
func (s sum) bytes() (d Digest) {
	binary.LittleEndian.PutUint64(d[:8], s.a)
	binary.LittleEndian.PutUint64(d[8:], s.b)
	return d
}

// FirstOnlyHere is the place of the first item of own that theirs lacks, -1 for none. Items stand in the same order on both sides, but an item that one side lacks moves the others.
func FirstOnlyHere(own, theirs []uint64) int {
	left := make(map[uint64]int, len(theirs))
	for _, x := range theirs {
		left[x]++
	}
	for i, x := range own {
		if left[x] == 0 {
			return i
		}
		left[x]--
	}
	return -1
}

// PartNames is the part with the names of instances: item i is that of InstanceID i+1.
const PartNames = Part(itemName)
