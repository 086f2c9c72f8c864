package config

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "1": 1, "1B": 1, "65536": 64 << 10, "64KiB": 64 << 10, "1MiB": 1 << 20, "2GiB": 2 << 30, "0GiB": 0, "1024KiB": 1 << 20, "007": 7,
		"9223372036854775807": math.MaxInt64, "8589934591GiB": 8589934591 << 30, "9007199254740991KiB": 9007199254740991 << 10,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q gives %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "B", "KiB", "-1", "+1", "1.5MiB", "1e6", "0x10", "1_000", " 1", "1 ", "1 KiB", "64KB", "64kB", "64K", "64kib", "64k", "1TiB", "1KiBB", "1BKiB", "１", "64KiB\n",
		"9223372036854775808", "8589934592GiB", "9007199254740992KiB", "18446744073709551616", "99999999999999999999999999999999GiB",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q gives %d", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0B", 1: "1B", 1023: "1023B", 1024: "1KiB", 64 << 10: "64KiB", 1 << 20: "1MiB", 1<<20 + 1: "1048577B", 3 << 30: "3GiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(size), got, want)
		}
	}
}

func TestSizesSurviveJSON(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := Size(rapid.Int64Min(0).Draw(r, "size") &^ (1<<rapid.IntRange(0, 40).Draw(r, "zeros") - 1))
		b, err := json.Marshal(s)
		var back Size
		if err != nil || json.Unmarshal(b, &back) != nil || back != s {
			r.Fatalf("%d is written %s and read %d, %v", int64(s), b, int64(back), err)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	f.Add("64KiB")
	f.Add("9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSize(text)
		if err != nil {
			return
		}
		if back, err := ParseSize(s.String()); s < 0 || err != nil || back != s {
			t.Errorf("%q gives %d, which gives %d, %v", text, s, back, err)
		}
	})
}
