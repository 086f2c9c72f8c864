package raftnode

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// maxBatchOps bounds the session operations of one request and of one entry (112 KiB).
	maxBatchOps = 4096
	// maxSmall bounds the JSON requests in bytes.
	maxSmall = 64 << 10
	// resultSize: code 1, instance 4, index 8.
	resultSize = 13
)

func encodeOps(ops []fsm.SessionOp) []byte {
	b := make([]byte, 0, len(ops)*fsm.SessionOpSize)
	for _, op := range ops {
		b = fsm.AppendSessionOp(b, op)
	}
	return b
}

func decodeOps(b []byte) ([]fsm.SessionOp, error) {
	n := len(b) / fsm.SessionOpSize
	if n == 0 || n > maxBatchOps || n*fsm.SessionOpSize != len(b) {
		return nil, fmt.Errorf("%w: session operations: %d bytes", errFrame, len(b))
	}
	ops := make([]fsm.SessionOp, n)
	for i := range ops {
		var ok bool
		if ops[i], ok = fsm.ParseSessionOp(b[i*fsm.SessionOpSize:]); !ok {
			return nil, &failure{code: failUnsupported, text: "session operation of a newer version"}
		}
	}
	return ops, nil
}

func encodeResults(rs []fsm.SessionResult) []byte {
	b := make([]byte, 0, len(rs)*resultSize)
	for _, r := range rs {
		b = append(b, byte(r.Code))
		b = binary.LittleEndian.AppendUint32(b, uint32(r.Instance))
		b = binary.LittleEndian.AppendUint64(b, r.Index)
	}
	return b
}

// decodeResults wants exactly one result for each of n operations.
func decodeResults(b []byte, n int) ([]fsm.SessionResult, error) {
	if len(b) != n*resultSize {
		return nil, fmt.Errorf("%w: results: %d bytes for %d operations", errFrame, len(b), n)
	}
	rs := make([]fsm.SessionResult, n)
	for i := range rs {
		r := b[i*resultSize:]
		rs[i] = fsm.SessionResult{Code: fsm.Code(r[0]), Instance: fsm.InstanceID(binary.LittleEndian.Uint32(r[1:])), Index: binary.LittleEndian.Uint64(r[5:])}
	}
	return rs, nil
}

func encodeIndex(i uint64) []byte { return binary.LittleEndian.AppendUint64(nil, i) }

func decodeIndex(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: index: %d bytes", errFrame, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}

// encodeJSON is for the rare requests. Fields that a node does not know are ignored, so that versions can mix.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode request: " + err.Error())
	}
	return b
}

func decodeJSON[T any](b []byte) (v T, err error) {
	if len(b) > maxSmall {
		return v, fmt.Errorf("%w: %d bytes, at most %d", errFrame, len(b), maxSmall)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("%w: %w", errFrame, err)
	}
	return v, nil
}
