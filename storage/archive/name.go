package archive

import (
	"cmp"
	"fmt"
)

// Ext is how the names of archives end.
const Ext = ".hfb"

// nameTime is the time in a name: ISO 8601, basic form, UTC.
const nameTime = "20060102T150405Z"

// Name is the file name of an archive: GROUP-EPOCH-INDEX-TIME.hfb.
func (h Header) Name() string {
	return fmt.Sprintf("%s-%d-%d-%s%s", h.GroupName, h.Epoch, h.Index, h.Created.UTC().Format(nameTime), Ext)
}

// compare orders the archives of one group, the older state first: an epoch is later than all indices of the one before it.
func (h Header) compare(than Header) int {
	return cmp.Or(cmp.Compare(h.Epoch, than.Epoch), cmp.Compare(h.Index, than.Index), h.Created.Compare(than.Created))
}
