package lb

import (
	"bytes"
	"testing"
)

// FuzzForeign: only what is for a connection of another node is foreign, whatever comes.
func FuzzForeign(f *testing.F) {
	mine, other := idsOf("n1"), idsOf("n2")
	for _, ids := range []connectionIDs{mine, other} {
		id, err := ids.GenerateConnectionID()
		if err != nil || id.Len() != ids.ConnectionIDLen() {
			f.Fatal(id, err)
		}
		short := append(append([]byte{0x40}, id.Bytes()...), 1, 2, 3)
		if mine.foreign(short) != (ids != mine) {
			f.Fatalf("%x", short)
		}
		f.Add(short)
		f.Add(append([]byte{0xc0}, short...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if !mine.foreign(data) {
			return
		}
		if data[0]&0x80 != 0 || bytes.Equal(data[2:2+nodeTag], mine.node[:]) {
			t.Fatalf("%x is called foreign", data)
		}
	})
}
