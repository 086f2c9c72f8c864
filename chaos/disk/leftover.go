package disk

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Release unmounts the disks below dir whose harness was killed before it could: nobody answers for them any more, so that they could not even be removed. What is mounted there by others is left alone.
func Release(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var disks []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if at := ours(lines.Text()); strings.HasPrefix(at, dir+"/") {
			disks = append(disks, at)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, at := range disks {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s, which a killed run has left: %w", at, err)
		}
	}
	return nil
}

// ours gives where a line of mountinfo (proc(5)) says that one of our disks is mounted; empty for another file system.
func ours(line string) string {
	before, after, found := strings.Cut(line, " - ")
	fields, rest := strings.Fields(before), strings.Fields(after)
	if !found || len(fields) < 5 || len(rest) < 2 || rest[1] != source {
		return ""
	}
	return unescape.Replace(fields[4])
}

// unescape undoes what the kernel does to names in /proc.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
